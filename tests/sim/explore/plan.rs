//! A schedule as data: what there is, what clients and operators do and when, how the world outside
//! behaves, and what goes wrong. Drawn from a seed; the same plan always runs the same way.

use std::time::Duration;

use shared::domain::chunk::SHARD_CHUNKS;
use shared::domain::job::Submission;
use shared::ports::{HttpError, QueueName};
use testkit::harness::{self, UNFIT, Version, World, invalid, submission};
use testkit::sim::{Fault, Op, QueueFaults, Reply, SimEntropy, StoreFaults};

use super::faults::Faults;
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

const LANES: [QueueName; 4] = [
    QueueName::Enrich,
    QueueName::EnrichBulk,
    QueueName::Webhook,
    QueueName::WebhookRetry,
];

/// No JSON, other JSON, a message without what it needs, and one of a job that was never there.
const NONSENSE: [&str; 4] = [
    "{",
    "null",
    r#"{"v":1}"#,
    r#"{"v":1,"job":"job_?","chunk":-1,"start":"some day"}"#,
];

/// The behaviour of an upstream that answers later; see `tests/kit/src/harness/upstream.rs`.
const LATER: &[&str] = &[
    "late40",
    "late200",
    "late700",
    "late1500",
    "calls30",
    "calls90",
    "calls400",
    "twice60",
    "tardy300",
    "forged90",
    "crossed60",
    "chatty60",
    "never",
    "none90",
    "broken30",
    "found",
];

/// One schedule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// Decides ids, jitter and who runs next.
    pub(super) seed: u64,
    pub(super) tenants: Vec<Tenant>,
    /// Chunks worked on, and deliveries attempted, at once in each lane.
    pub(super) enrichers: usize,
    pub(super) dispatchers: usize,
    /// Messages of a batch of dispatch.
    pub(super) dispatch_batch: usize,
    /// The receives after which a message is a dead letter.
    pub(super) max_receives: u32,
    /// Answers to a batch, of a thousand, that Lambda can make nothing of.
    pub(super) malformed: usize,
    pub(super) enrich_timeout: Duration,
    /// The version deployed at the beginning.
    pub(super) version: Version,
    /// When all is over, whether everything is checked again after its retention.
    pub(super) afterwards: bool,
    /// In the order of their time.
    pub(super) actions: Vec<Action>,
    pub(super) faults: Faults,
    /// The behaviour of queues and table from beginning to end.
    pub(super) queue: QueueFaults,
    pub(super) store: StoreFaults,
}

/// A tenant and its receiver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tenant {
    pub(super) credits: i64,
    /// Its own delays between attempts, in seconds.
    pub(super) schedule: Option<Vec<u64>>,
    /// The first answers of its receiver; 200 afterwards, unless an action says otherwise.
    pub(super) answers: Vec<Answer>,
}

/// The behaviour of a receiver for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    Later(u64),
    /// 200 after this many seconds.
    Slow(u64),
    Refused,
    /// The connection breaks off after the request was taken.
    Mutation,
}

impl Answer {
    pub(super) fn reply(self) -> Reply {
        match self {
            Self::Status(status) => Reply::status(status),
            Self::Later(seconds) => Reply::status(429).header("retry-after", &seconds.to_string()),
            Self::Slow(seconds) => Reply::status(200).after(Duration::from_secs(seconds)),
            Self::Refused => Reply::error(HttpError::Connect("refused".to_owned())),
            Self::Mutation => {
                Reply::error(HttpError::Protocol("broke off".to_owned())).after(SECOND)
            }
        }
    }
}

/// Something that somebody does at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    /// Names it for good: other actions mean the job of a submission by this number.
    pub(super) number: usize,
    /// Since the beginning.
    pub(super) at: Duration,
    /// By its place in [`Plan::tenants`].
    pub(super) tenant: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Submit(Job),
    /// The same request under the same key, again.
    Repeat {
        job: usize,
    },
    Cancel {
        job: usize,
    },
    Delete {
        job: usize,
    },
    /// Sends the event of the job's end again, or of one of its records.
    Replay {
        job: usize,
        record: Option<u32>,
    },
    /// A new job of what failed in that one; others may mean it by this action's number.
    Retry {
        job: usize,
    },
    /// Reads the job and its results page by page, this many times.
    Read {
        job: usize,
        times: u32,
        every: Duration,
    },
    /// Another tenant asks for the job, on every route that takes an id.
    Snoop {
        job: usize,
    },
    Rotate,
    TestWebhook,
    /// The answer of the tenant's receiver from now on.
    Receiver(Answer),
    /// Every message of a queue is lost.
    Lose(QueueName),
    /// Every message of a queue comes twice.
    Duplicate(QueueName),
    KillEnrichers,
    /// Somebody sends what no function can read.
    Nonsense {
        lane: QueueName,
        body: &'static str,
    },
    /// No enrich function begins from now on; that ends after more than the longest run of a job.
    Halt,
    /// Functions and requests that start from now on are of this version.
    Deploy(Version),
    /// An extra run of the sweep.
    Sweep,
}

impl What {
    /// The job that it is about, by the number of the action that makes it.
    pub(super) fn job(&self) -> Option<usize> {
        match self {
            Self::Repeat { job }
            | Self::Cancel { job }
            | Self::Delete { job }
            | Self::Replay { job, .. }
            | Self::Retry { job }
            | Self::Snoop { job }
            | Self::Read { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// The type of a submission whose upstream answers later.
    fn upstream(&self) -> Option<&'static str> {
        match self {
            Self::Submit(Job {
                kind: kind @ ("late" | "vendor"),
                ..
            }) => Some(*kind),
            _ => None,
        }
    }

    pub(super) fn makes_a_job(&self) -> bool {
        matches!(self, Self::Submit(_) | Self::Retry { .. })
    }
}

/// A job to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) surface: &'static str,
    /// A type of the harness's registry.
    pub(super) kind: &'static str,
    /// One for each record, as the harness's providers read them.
    pub(super) scripts: Vec<&'static str>,
    pub(super) webhook: bool,
    pub(super) record_webhook: bool,
    pub(super) max_credits: Option<u64>,
    pub(super) partial_budget: bool,
    /// Clients that send the request at the same time, with the same key.
    pub(super) clients: usize,
}

impl Job {
    /// As this tenant sends it.
    pub(super) fn submission(&self, tenant: &harness::Tenant) -> Submission {
        let domains: Vec<String> = (0..)
            .zip(&self.scripts)
            .map(|(n, script)| format!("{script}-{n}"))
            .collect();
        let unfit = (0..)
            .zip(&self.scripts)
            .filter(|(_, script)| **script == UNFIT)
            .map(|(at, _)| at);
        Submission {
            invalid: invalid(unfit),
            surface: self.surface.to_owned(),
            kind: self.kind.to_owned(),
            webhook: self.webhook.then(|| tenant.webhook("one")),
            record_webhook: self.record_webhook.then(|| tenant.webhook("record")),
            max_credits: self.max_credits,
            partial_budget: self.partial_budget,
            ..submission(&domains)
        }
    }
}

fn pick<T: Clone>(dice: &SimEntropy, from: &[T]) -> T {
    from[dice.below(from.len())].clone()
}

fn one_in(dice: &SimEntropy, n: usize) -> bool {
    dice.below(n) == 0
}

impl Plan {
    /// Returns whether a job of it asks an upstream that answers later.
    pub(super) fn waits(&self) -> bool {
        self.actions
            .iter()
            .any(|action| action.what.upstream().is_some())
    }

    /// Whose client carries an action out.
    pub(super) fn tenant_of(&self, action: usize) -> Option<usize> {
        self.actions
            .iter()
            .find(|other| other.number == action)
            .map(|action| action.tenant)
    }

    /// The schedule of this seed.
    pub(super) fn draw(seed: u64) -> Self {
        let dice = World::dice(seed);
        let tenants: Vec<Tenant> = (0..pick(&dice, &[1, 1, 2, 3]))
            .map(|_| Tenant::draw(&dice))
            .collect();
        // A deployment may be rolled back, but not over two versions.
        let other = pick(&dice, &[Version::Previous, Version::Next]);
        let halts = one_in(&dice, 60);
        let (mut actions, mut at): (Vec<Action>, Duration) = (Vec::new(), Duration::ZERO);
        for number in 0..4 + dice.below(10) {
            if halts && number == 2 {
                actions.push(Action {
                    number,
                    at,
                    tenant: 0,
                    what: What::Halt,
                });
                continue;
            }
            let tenant = dice.below(tenants.len());
            let upstream = actions.iter().find_map(|action| action.what.upstream());
            let jobs: Vec<usize> = actions
                .iter()
                .filter(|action| action.tenant == tenant && action.what.makes_a_job())
                .map(|action| action.number)
                .collect();
            actions.push(Action {
                number,
                at,
                tenant,
                what: What::draw(&dice, &jobs, other, upstream),
            });
            at += Duration::from_millis(pick(&dice, &[0, 0, 10, 700, 5_000, 40_000, 200_000]));
        }
        let rate = pick(&dice, &[0, 10, 30, 100]);
        Self {
            seed,
            tenants,
            enrichers: pick(&dice, &[1, 3, 3]),
            dispatchers: pick(&dice, &[1, 3, 3]),
            dispatch_batch: pick(&dice, &[1, 5, 5]),
            max_receives: pick(&dice, &[1, 3, 10, 10]),
            malformed: pick(&dice, &[0, 0, 50]),
            enrich_timeout: pick(&dice, &[ENRICH_TIMEOUT, ENRICH_TIMEOUT, 45 * SECOND]),
            version: pick(&dice, &[Version::Current, Version::Current, other]),
            afterwards: one_in(&dice, 10),
            actions,
            faults: Faults::Drawn {
                rate,
                for_the_first: 20 * MINUTE,
            },
            queue: if one_in(&dice, 2) {
                queue(&dice)
            } else {
                QueueFaults::default()
            },
            store: if one_in(&dice, 2) {
                store(&dice)
            } else {
                StoreFaults::default()
            },
        }
    }
}

fn queue(dice: &SimEntropy) -> QueueFaults {
    QueueFaults {
        duplicate: pick(dice, &[0, 20, 200]),
        reorder: one_in(dice, 2),
        early_visibility: pick(dice, &[0, 20, 200]),
        undeleted: pick(dice, &[0, 20, 200]),
        late: pick(dice, &[0, 20, 200]),
        late_by: pick(dice, &[SECOND, 40 * SECOND, 5 * MINUTE]),
    }
}

fn store(dice: &SimEntropy) -> StoreFaults {
    StoreFaults {
        index_lag: pick(dice, &[Duration::ZERO, SECOND, 10 * SECOND]),
        stale: pick(dice, &[Duration::ZERO, SECOND, 10 * SECOND]),
        expiry: pick(dice, &[None, Some(MINUTE), Some(48 * HOUR)]),
        transaction: pick(dice, &[Duration::ZERO, Duration::from_millis(20), SECOND]),
    }
}

impl Tenant {
    fn draw(dice: &SimEntropy) -> Self {
        let answers = [
            Answer::Status(200),
            Answer::Status(500),
            Answer::Status(410),
            Answer::Later(40),
            Answer::Slow(8),
            Answer::Slow(25),
            Answer::Refused,
            Answer::Mutation,
        ];
        Self {
            credits: if one_in(dice, 4) {
                pick(dice, &[0, 7, 60])
            } else {
                100_000
            },
            schedule: pick(
                dice,
                &[
                    Some(vec![1, 5, 90]),
                    Some(vec![1, 5, 90]),
                    Some(vec![1]),
                    None,
                ],
            ),
            answers: (0..dice.below(7)).map(|_| pick(dice, &answers)).collect(),
        }
    }
}

impl What {
    /// `upstream` is a type that was asked for before whose upstream answers later.
    fn draw(
        dice: &SimEntropy,
        jobs: &[usize],
        other: Version,
        upstream: Option<&'static str>,
    ) -> Self {
        let submit = || Self::Submit(Job::draw(dice, upstream));
        let Some(job) = (!jobs.is_empty()).then(|| pick(dice, jobs)) else {
            return submit();
        };
        match dice.below(23) {
            0..=4 => submit(),
            5 => Self::Repeat { job },
            6 | 7 => Self::Cancel { job },
            8 => Self::Delete { job },
            9 => Self::Replay {
                job,
                record: pick(dice, &[None, None, Some(0)]),
            },
            10 => Self::Retry { job },
            11..=13 => Self::Read {
                job,
                times: 1 + u32::try_from(dice.below(6)).expect("a small number"),
                every: Duration::from_millis(pick(dice, &[0, 300, 2_000, 30_000])),
            },
            14 => pick(dice, &[Self::Rotate, Self::TestWebhook]),
            15 => {
                let down = [
                    Answer::Status(503),
                    Answer::Later(90),
                    Answer::Slow(25),
                    Answer::Refused,
                ];
                Self::Receiver(if one_in(dice, 2) {
                    Answer::Status(200)
                } else {
                    pick(dice, &down)
                })
            }
            16 => Self::Lose(pick(dice, &LANES)),
            17 if one_in(dice, 2) => Self::Duplicate(pick(dice, &LANES)),
            17 => Self::Nonsense {
                lane: pick(dice, &LANES),
                body: pick(dice, &NONSENSE),
            },
            18 => Self::KillEnrichers,
            19 | 20 => pick(dice, &[Self::Deploy(Version::Current), Self::Deploy(other)]),
            21 => Self::Snoop { job },
            _ => Self::Sweep,
        }
    }
}

impl Job {
    /// One record a chunk, and more of them than fit into one shard of progress.
    fn of_two_shards(dice: &SimEntropy) -> Self {
        let records = SHARD_CHUNKS as usize + 1 + dice.below(4);
        Self {
            surface: "native",
            kind: "company",
            scripts: (0..records)
                .map(|n| {
                    if n < 3 {
                        pick(dice, &["none", "slow3", "fail"])
                    } else {
                        "found"
                    }
                })
                .collect(),
            webhook: true,
            record_webhook: true,
            max_credits: None,
            partial_budget: false,
            clients: pick(dice, &[1, 2]),
        }
    }

    /// Of a type whose upstream answers later.
    fn of_an_upstream(dice: &SimEntropy, kind: &'static str) -> Self {
        let spared: &[&str] = if kind == "vendor" {
            &["busy", "down", "down", "slow25"]
        } else {
            &[]
        };
        let scripts = [LATER, spared].concat();
        let records = pick(dice, &[1, 3, 8, 8, 12, 12, 66]);
        let tells = one_in(dice, 6);
        Self {
            surface: if tells {
                "native"
            } else {
                pick(dice, &["native", "apione", "springbolt"])
            },
            kind,
            scripts: (0..records)
                .map(|n| if n < 8 { pick(dice, &scripts) } else { "found" })
                .collect(),
            webhook: !one_in(dice, 4),
            record_webhook: tells && records < 70,
            max_credits: pick(dice, &[None, None, Some(9)]),
            partial_budget: one_in(dice, 3),
            clients: pick(dice, &[1, 1, 2]),
        }
    }

    fn draw(dice: &SimEntropy, upstream: Option<&'static str>) -> Self {
        // The answer to a repeated question may be cached.
        if let Some(again) = upstream.filter(|_| one_in(dice, 2)) {
            return Self::of_an_upstream(dice, again);
        }
        if one_in(dice, 14) {
            return Self::of_an_upstream(dice, pick(dice, &["late", "vendor"]));
        }
        let scripts: &[&str] = if one_in(dice, 4) {
            &["found", "big", "poison", "poison", "slow200", "deep70"]
        } else {
            &[
                "found", "found", "only", "none", "fail", "slow3", "slow25", "panic", "invalid",
                "flaky", "later", "limited", "broken",
            ]
        };
        if one_in(dice, 120) {
            return Self::of_two_shards(dice);
        }
        let tells = one_in(dice, 5);
        let records = if tells {
            pick(dice, &[1, 3, 6])
        } else {
            pick(dice, &[1, 2, 5, 5, 70, 130])
        };
        // Of records only these two tell.
        let surface = if tells {
            pick(dice, &["native", "fullenrich"])
        } else {
            pick(
                dice,
                &[
                    "native",
                    "native",
                    "apione",
                    "sixtyfour",
                    "springbolt",
                    "springbolt",
                    "fullenrich",
                ],
            )
        };
        let mut job = Self {
            surface,
            kind: pick(
                dice,
                &["company", "company", "web", "web", "duo", "patient", "bare"],
            ),
            // Poison and size cost time: few records at most are anything but plain.
            scripts: (0..records)
                .map(|n| if n < 5 { pick(dice, scripts) } else { "found" })
                .collect(),
            webhook: !one_in(dice, 4),
            record_webhook: tells,
            max_credits: pick(dice, &[None, None, Some(6)]),
            partial_budget: one_in(dice, 3),
            clients: pick(dice, &[1, 1, 1, 2, 3]),
        };
        // Only this surface distinguishes single records. It makes no draw of its own, so that the
        // schedules of seeds stay the same.
        if job.surface == "native" && job.clients == 2 {
            job.scripts
                .iter_mut()
                .skip(1)
                .step_by(3)
                .for_each(|script| *script = UNFIT);
        }
        job
    }
}

/// The chance that a call fails, in quarters of a read's chance: rare calls fail more often.
pub(super) fn weight(op: Op) -> usize {
    match op {
        Op::Transact | Op::DeleteAll => 16,
        Op::PutAll | Op::Put | Op::Send => 8,
        Op::Update => 5,
        Op::Get | Op::GetMany | Op::Query | Op::Http | Op::Asset | Op::Postpone => 4,
    }
}

/// Draws the fault of a call that fails.
pub(super) fn draw_fault(dice: &SimEntropy, op: Op) -> Fault {
    let some = Duration::from_secs(1 + dice.below(9) as u64);
    // A process may stand still until Lambda ends it. A request that is under way to a host outside
    // has its own deadline.
    let still = op != Op::Http && one_in(dice, 5);
    let delay = if still {
        pick(dice, &[40 * SECOND, 130 * SECOND])
    } else {
        some
    };
    // Before the tries that a step makes by itself, among them, and after others have written.
    let late = Duration::from_millis(pick(dice, &[20, 700, 3_000, 12_000]));
    let all = [
        Fault::FailBefore,
        Fault::FailAfter,
        Fault::FailPartly,
        Fault::Die,
        Fault::DieAfter,
        Fault::Throttle,
        Fault::Conflict,
        Fault::Delay(delay),
        Fault::Late(late),
        Fault::DieLate(late),
        Fault::Again(late),
    ];
    let is_read = matches!(op, Op::Get | Op::GetMany | Op::Query | Op::Http | Op::Asset);
    // A submission's batch that is repeated after its job was erased stands under the tombstone
    // until the second erasure takes it: batches take no conditions.
    // `a_tombstone_gets_nothing_back` would say so, and it is known (docs/ARCHITECTURE.md,
    // "Delete"). The crash sweep repeats batches, but before any erasure.
    let once = |fault| {
        if op == Op::PutAll && matches!(fault, Fault::Again(_)) {
            Fault::FailAfter
        } else {
            fault
        }
    };
    match op {
        Op::Postpone => pick(dice, &[Fault::FailBefore, Fault::Late(late)]),
        _ => once(all[dice.below(if is_read { all.len() - 3 } else { all.len() })]),
    }
}
