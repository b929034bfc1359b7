//! A plan and its outcome, for a person to read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use shared::domain::time::Timestamp;
use testkit::sim::{QueueFaults, StoreFaults};

use super::faults::{Faults, Labels};
use super::plan::{Action, Answer, Job, Plan, What};
use super::play::Verdict;

/// The prefix that distinguishes calls from clients' actions.
const AS_CALL: &str = "     ";
/// The most similar calls that are shown.
const ALIKE: usize = 6;

/// Minutes and seconds since the beginning.
struct At(Duration);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        write!(f, "{}:{:02}.{millis:03}", seconds / 60, seconds % 60)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Later(seconds) => write!(f, "429 with Retry-After {seconds} s"),
            Self::Slow(seconds) => write!(f, "200 after {seconds} s"),
            Self::Refused => f.write_str("connection refused"),
            Self::Mutation => f.write_str("connection broken"),
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            surface,
            kind,
            scripts,
            clients,
            ..
        } = self;
        write!(f, "submits {} of type {kind} on {surface}: ", scripts.len())?;
        let mut rest = &scripts[..];
        let mut first = true;
        while let Some(script) = rest.first() {
            let same = rest.iter().take_while(|other| *other == script).count();
            rest = &rest[same..];
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            let times = if same > 1 {
                format!("{same} x ")
            } else {
                String::new()
            };
            write!(f, "{comma}{times}{script}")?;
        }
        let marks = [
            (self.webhook, "webhook".to_owned()),
            (self.record_webhook, "webhook per record".to_owned()),
            (
                self.max_credits.is_some(),
                format!("max_credits {}", self.max_credits.unwrap_or(0)),
            ),
            (self.partial_budget, "partial budget".to_owned()),
            (*clients > 1, format!("{clients} clients at once")),
        ];
        marks
            .iter()
            .filter(|(there, _)| *there)
            .try_for_each(|(_, mark)| write!(f, "; {mark}"))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(job) => write!(f, "{job}"),
            Self::Repeat { job } => write!(f, "repeats the request for job {job}"),
            Self::Cancel { job } => write!(f, "cancels job {job}"),
            Self::Delete { job } => write!(f, "deletes job {job}"),
            Self::Replay { job, record: None } => write!(f, "replays the event of job {job}"),
            Self::Replay {
                job,
                record: Some(n),
            } => write!(f, "replays the event of record {n} of job {job}"),
            Self::Retry { job } => write!(f, "retries job {job}"),
            Self::Read { job, times, every } => {
                write!(f, "reads job {job}, {times} times, every {every:?}")
            }
            Self::Snoop { job } => write!(f, "a stranger asks for job {job}"),
            Self::Rotate => f.write_str("rotates the webhook secret"),
            Self::TestWebhook => f.write_str("sends a test event"),
            Self::Receiver(answer) => write!(f, "the receiver answers {answer} from now on"),
            Self::Lose(lane) => write!(f, "all messages in {lane:?} are lost"),
            Self::Duplicate(lane) => write!(f, "all messages in {lane:?} are duplicated"),
            Self::Nonsense { lane, body } => write!(f, "somebody sends {body} to {lane:?}"),
            Self::Halt => f.write_str("no enrich function begins for longer than a job may run"),
            Self::KillEnrichers => f.write_str("all enrich processes are killed"),
            Self::Deploy(version) => write!(f, "version {version:?} is deployed"),
            Self::Sweep => f.write_str("the sweep runs out of turn"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.what {
            What::Lose(_)
            | What::Duplicate(_)
            | What::Nonsense { .. }
            | What::Halt
            | What::KillEnrichers
            | What::Deploy(_)
            | What::Sweep
            | What::Snoop { .. }
            | What::Receiver(_) => String::new(),
            _ => format!("client {}, tenant {}: ", self.number, self.tenant),
        };
        write!(f, "{who}{}", self.what)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} at work in each lane of enrich, {} of dispatch",
            self.enrichers, self.dispatchers
        )?;
        writeln!(
            f,
            "{:?} is deployed; batches of {}, dead letters after {} receives, {} of 1000 answers \
             malformed, enrich has {} s",
            self.version,
            self.dispatch_batch,
            self.max_receives,
            self.malformed,
            self.enrich_timeout.as_secs()
        )?;
        for (n, tenant) in self.tenants.iter().enumerate() {
            write!(f, "tenant {n} has {} credits", tenant.credits)?;
            if let Some(schedule) = &tenant.schedule {
                write!(f, ", tries webhooks again after {schedule:?} s")?;
            }
            let answers: Vec<String> = tenant.answers.iter().map(ToString::to_string).collect();
            let first = if answers.is_empty() {
                String::new()
            } else {
                format!("{}, then ", answers.join(", "))
            };
            writeln!(f, "; its receiver answers {first}200")?;
        }
        if self.queue != QueueFaults::default() {
            writeln!(f, "the queues, of 1000: {:?}", self.queue)?;
        }
        if self.store != StoreFaults::default() {
            writeln!(f, "the table: {:?}", self.store)?;
        }
        if self.afterwards {
            writeln!(f, "checked again after everything's retention")?;
        }
        for action in &self.actions {
            writeln!(f, "  {:>10}  {action}", At(action.at).to_string())?;
        }
        match &self.faults {
            Faults::Drawn {
                rate,
                for_the_first,
            } => {
                writeln!(
                    f,
                    "{rate} of 1000 reads, and more of other calls, go wrong in the first {} s",
                    for_the_first.as_secs()
                )
            }
            Faults::Listed(listed) if listed.is_empty() => writeln!(f, "no call goes wrong"),
            Faults::Listed(listed) => {
                writeln!(f, "what goes wrong:")?;
                listed
                    .iter()
                    .try_for_each(|(place, fault)| writeln!(f, "  {fault:?} at {place}"))
            }
        }
    }
}

/// Describes the plan, its trace without repetitions, and what did not hold.
pub(super) fn tell(plan: &Plan, verdict: &mut Verdict) -> String {
    let mut text = format!("{plan}\n");
    let trace = std::mem::take(&mut verdict.trace);
    let start = trace
        .first()
        .and_then(|line| at(line))
        .unwrap_or(Timestamp(0));
    let (mut seen, mut left_out): (BTreeMap<String, usize>, usize) = (BTreeMap::new(), 0);
    for line in trace.iter().filter(|line| !is_idle(line)) {
        let line = readable(line, start, &mut verdict.labels);
        // A line that differs from an earlier one only in numbers adds nothing.
        let alike = seen
            .entry(line.replace(|c: char| c.is_ascii_digit(), ""))
            .or_default();
        *alike += 1;
        if *alike > ALIKE && line.contains(AS_CALL) && !line.contains("->") {
            left_out += 1;
            continue;
        }
        if std::mem::take(&mut left_out) > 0 {
            text.push_str("              …\n");
        }
        text += &line;
        text.push('\n');
    }
    text.push_str("\nwhat does not hold:\n");
    for why in &verdict.wrong {
        text += "  ";
        text += &verdict.labels.apply("", why);
        text.push('\n');
    }
    text
}

/// When a line of the trace was written.
fn at(line: &str) -> Option<Timestamp> {
    Timestamp::parse(line.split(' ').next()?)
}

/// Matches a query of the sweep that found nothing or that others follow.
fn is_idle(line: &str) -> bool {
    line.contains(" Query due ")
        && line.ends_with(" -> ok")
        && line.split_whitespace().count() <= 10
}

/// `0:05.000     Enrich p7: Update job 3/META, FailAfter -> error`, from a line of the trace.
fn readable(line: &str, start: Timestamp, labels: &mut Labels) -> String {
    let rest = line.split_once(' ').map_or(line, |(_, rest)| rest);
    let time = At(at(line).unwrap_or(Timestamp(0)).since(start)).to_string();
    let by = rest.split(" p").next().unwrap_or_default();
    let text = labels
        .apply(by, rest)
        .replace("JOB#job", "job")
        .replace(" -> ok", "");
    match text.split_at_checked(4) {
        Some(("!!! ", why)) => format!("\n{time:>10} !!! {why}\n"),
        Some(("--- ", what)) => format!("{time:>10} {what}"),
        _ => {
            // A call's number says nothing to a reader.
            let words = text
                .split(' ')
                .filter(|word| !(word.starts_with('#') && word[1..].parse::<u64>().is_ok()));
            format!("{time:>10}{AS_CALL}{}", words.collect::<Vec<_>>().join(" "))
        }
    }
}
