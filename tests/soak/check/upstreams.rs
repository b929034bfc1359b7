//! Judges what the upstreams that answer later saw: how often they were asked, by how many requests
//! at once, what twice, and what became of their callbacks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::domain::time::Timestamp;
use testkit::upstreams::busiest_second;

use super::{AT_ONCE, BOUGHT, CALLBACK, DEAD, LET_ALONE, RATE, Seen, Tally};

/// Requests beyond the rate that are put down to clocks that differ, as a share of the rate.
const TOLERANCE: f64 = 0.1;
/// Times are noted to the millisecond, and some are the sum of two.
const ROUNDED: Duration = Duration::from_millis(5);

/// The limits that the functions keep at an upstream, by `tests/soak/providers.toml`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UpstreamLimits {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Of one instance.
    pub(crate) concurrency: usize,
    /// The longest wait of a sender for its answer: no request is on its way for longer.
    pub(crate) timeout: Duration,
    /// The time after which a question is given up.
    pub(crate) give_up: Duration,
    /// Failures in a row that open the circuit.
    pub(crate) failures: usize,
    /// The shortest time for which the circuit is open.
    pub(crate) open: Duration,
    /// The time for which an answer is cached.
    pub(crate) kept: Option<Duration>,
}

/// One request, as the upstream saw it. Times are since the soak began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    /// When it was about to be answered, or its sender had gone.
    pub(crate) over: Option<Duration>,
    /// When its connection brought the next request: by then its sender had read the answer, and
    /// it had waited until `over`. `None`: the sender may have given up at any time before.
    pub(crate) read: Option<Duration>,
    pub(crate) provider: String,
    /// The instance of the function.
    pub(crate) instance: String,
    /// The key of the question.
    pub(crate) question: String,
    /// It puts the question, and does not ask after it.
    pub(crate) puts: bool,
    /// The upstream took the question.
    pub(crate) taken: bool,
    /// It was answered as it should, and its sender was there.
    pub(crate) answered: bool,
    /// The time that its sender was asked to wait.
    pub(crate) wait: Option<Duration>,
}

/// A question that an upstream took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) provider: String,
    /// The upstream's name of it.
    pub(crate) id: String,
    /// The input that it is about.
    pub(crate) about: String,
    /// When it was first taken.
    pub(crate) taken: Duration,
    /// The time from which a poll gets the answer; `None`: never.
    pub(crate) ready: Option<Duration>,
    /// It is answered at once.
    pub(crate) direct: bool,
}

/// One callback, repeated until it was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Post {
    pub(crate) question: String,
    /// Its URL has no valid signature.
    pub(crate) forged: bool,
    /// The answer in it.
    pub(crate) says: Option<String>,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// 0: it was not answered in time.
    pub(crate) status: u16,
}

/// An upstream answers nothing but errors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dead {
    pub(crate) provider: String,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// Everything that upstreams which answer later saw and did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Later {
    /// In the order in which they came.
    pub(crate) asked: Vec<Asked>,
    /// By their keys.
    pub(crate) questions: BTreeMap<String, Question>,
    /// The keys by the upstreams' names.
    pub(crate) ids: BTreeMap<String, String>,
    pub(crate) posts: Vec<Post>,
    pub(crate) dead: Vec<Dead>,
    /// By provider.
    pub(crate) limits: BTreeMap<String, UpstreamLimits>,
    /// When calls about a job met faults, and their operations, by the job's id.
    pub(crate) faults: BTreeMap<String, Vec<(Duration, String)>>,
}

/// The numbers of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) questions: usize,
    pub(crate) requests: usize,
    /// By provider: the most in any second.
    pub(crate) busiest: BTreeMap<String, usize>,
    /// By provider: the most at once of one instance.
    pub(crate) at_once: BTreeMap<String, usize>,
    /// Questions taken once more, beside a kill, a lost answer or a failed call.
    pub(crate) again: usize,
    pub(crate) posts: usize,
    pub(crate) forged: usize,
    /// Requests of dead upstreams.
    pub(crate) dead: usize,
    /// Lines with a kept answer.
    pub(crate) kept: u64,
}

pub(super) fn judge(seen: &Seen, tally: &mut Tally) {
    let later = &seen.later;
    tally.later.questions = later.questions.len();
    tally.later.requests = later.asked.len();
    for (provider, limits) in &later.limits {
        let asked: Vec<&Asked> = later
            .asked
            .iter()
            .filter(|asked| asked.provider == *provider)
            .collect();
        at_its_rate(provider, limits, &asked, tally);
        at_once(provider, limits, &asked, tally);
        let_alone(provider, limits, &asked, tally);
        let dead = later.dead.iter().filter(|dead| dead.provider == *provider);
        dead.for_each(|dead| while_dead(dead, limits, &asked, tally));
    }
    bought_once(seen, tally);
    callbacks(seen, tally);
}

/// Counts every request. Each was sent at most `timeout` before it came, unless this machine stood
/// still for longer.
fn at_its_rate(provider: &str, limits: &UpstreamLimits, asked: &[&Asked], tally: &mut Tally) {
    let mut times: Vec<_> = asked
        .iter()
        .map(|a| Timestamp(i64::try_from(a.at.as_millis()).unwrap_or(i64::MAX)))
        .collect();
    times.sort_unstable();
    let busiest = busiest_second(&times);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate and a time of the soak"
    )]
    let places = |from: Timestamp, to: Timestamp| {
        let time = to.since(from) + Duration::from_secs(1) + limits.timeout;
        (limits.rate * (1.0 + TOLERANCE) * time.as_secs_f64()).ceil() as usize
    };
    let over = times.iter().enumerate().find_map(|(first, from)| {
        let mut later = times[first..].iter().enumerate();
        later.find_map(|(n, to)| (n + 1 > places(*from, *to)).then(|| (n + 1, to.since(*from))))
    });
    if let Some((came, time)) = over {
        tally.wrong(
            RATE,
            None,
            format!("{provider} was asked {came} times in {time:?}, beyond its rate"),
        );
    }
    tally.later.busiest.insert(provider.to_owned(), busiest);
}

/// Counts the requests whose answer was read: their senders waited for them at least from when they
/// came until they were answered. When a sender gave up cannot be seen here.
fn at_once(provider: &str, limits: &UpstreamLimits, asked: &[&Asked], tally: &mut Tally) {
    let mut by_instance: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in asked.iter().filter(|asked| asked.read.is_some()) {
        by_instance.entry(&asked.instance).or_default().push(asked);
    }
    let mut highest = 0;
    for (instance, asked) in by_instance {
        let beside = |at: Duration| {
            let under_way =
                |other: &&&Asked| other.at <= at && other.over.is_some_and(|over| over > at);
            asked.iter().filter(under_way).count()
        };
        let Some((most, at)) = asked.iter().map(|one| (beside(one.at), one.at)).max() else {
            continue;
        };
        highest = highest.max(most);
        if most > limits.concurrency {
            let detail = format!(
                "{provider} got {most} requests at once from {instance}, at {at:?}; it grants {}",
                limits.concurrency
            );
            tally.wrong(AT_ONCE, None, detail);
        }
    }
    tally.later.at_once.insert(provider.to_owned(), highest);
}

/// Counts the requests of the same instance once it had read the answer, without the one that shows
/// that. What other instances had leased before goes out. So does what is between the limiter and
/// the upstream when the answer comes, which has one of the other places.
fn let_alone(provider: &str, limits: &UpstreamLimits, asked: &[&Asked], tally: &mut Tally) {
    for reported in asked {
        let (Some(wait), Some(over), Some(read)) = (reported.wait, reported.over, reported.read)
        else {
            continue;
        };
        let meanwhile = |a: &&&Asked| {
            a.instance == reported.instance && a.at > read + ROUNDED && a.at + ROUNDED < over + wait
        };
        let came: Vec<Duration> = asked
            .iter()
            .filter(meanwhile)
            .map(|asked| asked.at)
            .collect();
        if came.len() >= limits.concurrency {
            let detail = format!(
                "{provider} asked {} at {over:?} for {wait:?}; it came again at {came:?}",
                reported.instance
            );
            tally.wrong(LET_ALONE, None, detail);
        }
    }
}

/// Each instance finds it out by itself at the worst. An answer that was given before and is read
/// after that ends a row of failures, once for each of the instance's places but one. What it has
/// under way when its circuit opens fails too; after that there is one trial for each opening.
fn while_dead(dead: &Dead, limits: &UpstreamLimits, asked: &[&Asked], tally: &mut Tally) {
    let came: Vec<&&Asked> = asked
        .iter()
        .filter(|asked| (dead.from..dead.until).contains(&asked.at))
        .collect();
    let instances: BTreeSet<&str> = came.iter().map(|asked| asked.instance.as_str()).collect();
    let time = dead.until.saturating_sub(dead.from);
    let trials = usize::try_from(time.as_millis() / limits.open.mul_f64(0.9).as_millis())
        .unwrap_or(usize::MAX - 1)
        + 1;
    let late = |instance: &str| {
        let given = |a: &&&Asked| {
            let over = a.over.is_some_and(|over| over + limits.timeout > dead.from);
            a.instance == instance && a.answered && a.at < dead.from && over
        };
        let given = asked.iter().filter(given).count();
        given.min(limits.concurrency - 1)
    };
    let rows: usize = instances.iter().map(|instance| 1 + late(instance)).sum();
    let most = rows * (limits.failures - 1) + instances.len() * limits.concurrency + trials;
    tally.later.dead += came.len();
    if came.len() > most {
        let detail = format!(
            "{dead:?} got {} requests of {} instances, not {most}",
            came.len(),
            instances.len()
        );
        tally.wrong(DEAD, None, detail);
    }
}

/// A question is put once more if the instance that had put it had ended, if its answer was lost,
/// if a write failed that was to remember it, or if the message that began a chunk was sent twice
/// and its first run needs no lease.
fn bought_once(seen: &Seen, tally: &mut Tally) {
    let mut taken: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in seen
        .later
        .asked
        .iter()
        .filter(|asked| asked.puts && asked.taken)
    {
        taken.entry(&asked.question).or_default().push(asked);
    }
    for (question, taken) in taken {
        let Some((job, n)) = seen.asker(question) else {
            tally.wrong(
                BOUGHT,
                None,
                format!("no record asked {question} of {}", taken[0].provider),
            );
            continue;
        };
        let id = job.ids.first().map_or("", String::as_str);
        let faults = seen.later.faults.get(id).map_or(&[][..], Vec::as_slice);
        for pair in taken.windows(2) {
            let between = pair[0].at..=pair[1].at;
            let ended = seen.ended(&pair[0].instance, pair[1].at);
            let failed = faults
                .iter()
                .any(|(at, operation)| match operation.as_str() {
                    "PutItem" | "BatchWriteItem" => between.contains(at),
                    // If the upstream calls back, the second run finds the chunk leased.
                    "SendMessageBatch" => {
                        job.awaits == Some("polled") && (job.began..=pair[1].at).contains(at)
                    }
                    _ => false,
                });
            if ended || failed || !pair[0].answered || given_up(seen, pair[0]) {
                tally.later.again += 1;
            } else {
                let detail = format!(
                    "record {n} was bought at {:?} by {}, and again at {:?} by {}",
                    pair[0].at, pair[0].instance, pair[1].at, pair[1].instance
                );
                tally.wrong(BOUGHT, Some(job), detail);
            }
        }
    }
}

/// Returns whether the sender may have given up, unseen, before it read the answer: it had waited
/// for most of its time.
fn given_up(seen: &Seen, asked: &Asked) -> bool {
    let limits = &seen.later.limits[&asked.provider];
    let waited = asked.over.unwrap_or(asked.at).saturating_sub(asked.at);
    asked.read.is_none() && waited >= limits.timeout / 2
}

fn callbacks(seen: &Seen, tally: &mut Tally) {
    for post in &seen.later.posts {
        let job = seen.asker(&post.question).map(|(job, _)| job);
        let gone = job.is_none_or(|job| job.deleted);
        let right = if post.forged {
            post.status == 404
        } else {
            post.status == 204 || (post.status == 404 && gone)
        };
        if !right {
            tally.wrong(CALLBACK, job, format!("{post:?}"));
        }
        if post.forged {
            tally.later.forged += 1;
        } else {
            tally.later.posts += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{asked, at, called, caught_in, dead, first};
    use super::super::{Life, check};
    use super::*;

    fn caught(rule: &str, change: impl FnOnce(&mut Seen)) {
        caught_in(called(), rule, change);
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn requests_beyond_the_rate_are_noticed_at_once_and_in_the_long_run() {
        let more = |count: u64, apart: u64| {
            let mut seen = called();
            let looks = (0..count).map(|n| Asked {
                puts: false,
                ..asked(&first(), at(30) + millis(n * apart))
            });
            seen.later.asked.extend(looks);
            check(&seen).of(RATE)
        };
        // Two a second and a tenth of that, in their time and the three seconds that they may be
        // late.
        assert_eq!((more(9, 100), more(10, 100)), (0, 1));
        assert_eq!((more(20, 300), more(21, 300)), (0, 1));
    }

    #[test]
    fn too_many_requests_at_once_of_one_instance_are_noticed() {
        let at_once = |instances: [&str; 3], over: Option<Duration>| {
            let mut seen = called();
            for (n, instance) in (0..).zip(instances) {
                let one = Asked {
                    puts: false,
                    over,
                    ..asked(&first(), at(30) + millis(n * 600))
                };
                seen.later.asked.push(Asked {
                    instance: instance.to_owned(),
                    ..one
                });
            }
            check(&seen).of(AT_ONCE)
        };
        assert_eq!(at_once(["a", "a", "a"], Some(at(32))), 1);
        assert_eq!(at_once(["a", "a", "b"], Some(at(32))), 0);
        assert_eq!(at_once(["a", "a", "a"], Some(at(31))), 0);
    }

    /// An instance that stood still sends its next request as soon as it has given the last one up.
    /// The upstream may take the two for one instance's requests at once, and for an answered one.
    #[test]
    fn a_request_whose_answer_was_perhaps_never_read_breaks_no_rule() {
        let mut seen = called();
        let unread = |n: u64| Asked {
            puts: false,
            over: Some(at(32)),
            read: None,
            ..asked(&first(), at(30) + millis(n))
        };
        seen.later.asked.extend((0..20).map(unread));
        seen.later.asked.push(Asked {
            wait: Some(at(2)),
            answered: false,
            ..unread(21)
        });
        seen.later.asked.extend((22..30).map(unread));
        let tally = check(&seen);
        let broken = [AT_ONCE, LET_ALONE].map(|rule| tally.of(rule));
        assert_eq!(broken, [0; 2]);
    }

    #[test]
    fn a_request_of_an_instance_that_was_asked_to_wait_is_noticed() {
        let again = |after: Duration, instance: &str| {
            let mut seen = called();
            let refused = Asked {
                wait: Some(at(2)),
                taken: false,
                answered: false,
                ..asked(&first(), at(30))
            };
            let look = |after| Asked {
                puts: false,
                ..asked(&first(), at(30) + after)
            };
            let looks = [look(millis(200)), look(after)];
            seen.later.asked.push(refused);
            seen.later.asked.extend(looks.map(|look| Asked {
                instance: instance.to_owned(),
                ..look
            }));
            check(&seen).of(LET_ALONE)
        };
        assert_eq!((again(millis(210), "one"), again(at(1), "one")), (1, 1));
        assert_eq!(
            (again(millis(2100), "one"), again(at(1), "two")),
            (0, 0),
            "one was under way"
        );
    }

    #[test]
    fn a_dead_upstream_that_is_asked_on_and_on_is_noticed() {
        // Two failures, two requests under way, and three trials in four seconds.
        assert_eq!((check(&dead(7)).of(DEAD), check(&dead(8)).of(DEAD)), (0, 1));
        let after_an_answer = |times: u64| {
            let mut seen = dead(times);
            seen.later.asked.push(asked(&first(), at(29)));
            check(&seen).of(DEAD)
        };
        assert_eq!((after_an_answer(9), after_an_answer(10)), (0, 1));
    }

    #[test]
    fn a_question_that_is_bought_twice_without_a_reason_is_noticed() {
        let again = |seen: &mut Seen| seen.later.asked.push(asked(&first(), at(18)));
        caught(BOUGHT, again);
        caught(BOUGHT, |seen| {
            seen.later.asked.push(asked("unknown", at(18)));
        });
        let excused = |excuse: &dyn Fn(&mut Seen)| {
            let mut seen = called();
            again(&mut seen);
            excuse(&mut seen);
            let tally = check(&seen);
            (tally.of(BOUGHT), tally.later.again)
        };
        let last_seen = |lives: &[(&str, u64)]| {
            let lives = lives.iter().map(|(name, seen)| {
                (
                    (*name).to_owned(),
                    Life {
                        seen: at(*seen),
                        gone: None,
                    },
                )
            });
            excused(&|seen| seen.lives = lives.clone().collect())
        };
        assert_eq!(last_seen(&[("one", 17), ("two", 19)]), (0, 1));
        assert_eq!(
            last_seen(&[("two", 19)]),
            (0, 1),
            "it ended before anybody looked"
        );
        assert_eq!(
            (last_seen(&[("one", 18), ("two", 17)]), last_seen(&[])),
            ((1, 0), (1, 0))
        );
        assert_eq!(
            excused(&|seen| seen.later.asked[0].answered = false),
            (0, 1)
        );
        assert_eq!(excused(&|seen| seen.later.asked[0].read = None), (1, 0));
        let late = |seen: &mut Seen| {
            seen.later.asked[0].read = None;
            seen.later.asked[0].over = Some(seen.later.asked[0].at + at(1));
        };
        assert_eq!(excused(&late), (0, 1));
        let failed = |job: &str, operation: &str, when: u64| {
            let fault = (job.to_owned(), vec![(at(when), operation.to_owned())]);
            excused(&move |seen| seen.later.faults.extend([fault.clone()]))
        };
        assert_eq!(
            (
                failed("job_1", "PutItem", 15),
                failed("job_2", "PutItem", 15)
            ),
            ((0, 1), (1, 0))
        );
        assert_eq!(
            (failed("job_1", "PutItem", 9), failed("job_1", "Query", 15)),
            ((1, 0), (1, 0))
        );
        assert_eq!(
            failed("job_1", "SendMessageBatch", 9),
            (1, 0),
            "its first run holds the chunk"
        );
    }

    #[test]
    fn a_callback_that_is_refused_or_a_forged_one_that_is_taken_is_noticed() {
        for (forged, status) in [(false, 404), (false, 0), (true, 204), (true, 400)] {
            caught(CALLBACK, |seen| {
                (seen.later.posts[0].forged, seen.later.posts[0].status) = (forged, status);
            });
        }
        let mut right = called();
        (right.later.posts[5].forged, right.later.posts[5].status) = (true, 404);
        assert_eq!(check(&right).of(CALLBACK), 0);
    }
}
