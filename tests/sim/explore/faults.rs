//! The faults of a schedule: drawn, or listed call by call.
//!
//! A listed fault describes its call: "the second update of job 0's head by an enrich process". It
//! has no number, so that it stays in place when an earlier action is left out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::ports::Clock;
use testkit::harness::World;
use testkit::sim::{Call, Fault, Op};

use super::plan::{draw_fault, weight};
use super::tally::Tally;

/// The faults of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Faults {
    /// `rate` of a thousand reads go wrong, and more of other calls, until so much time has passed.
    Drawn {
        rate: usize,
        for_the_first: Duration,
    },
    Listed(Vec<(Place, Fault)>),
}

impl Faults {
    /// Those that are listed.
    pub(super) fn listed(&self) -> &[(Place, Fault)] {
        match self {
            Self::Drawn { .. } => &[],
            Self::Listed(listed) => listed,
        }
    }
}

/// A call, by what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The calling process, by name.
    pub(super) by: Arc<str>,
    pub(super) op: Op,
    /// The subject of the call, with jobs by their labels.
    pub(super) about: String,
    /// From 1, among the calls that are the same in all of this.
    pub(super) nth: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {}", self.by, self.op, self.about)?;
        if self.nth > 1 {
            write!(f, " ({}. time)", self.nth)
        } else {
            Ok(())
        }
    }
}

/// Short names in place of ids, the same in every run of a plan: `job 3` for the job of the third
/// action's client, `…` for random values that a reader need not distinguish.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Puts labels into a text. An id that is new belongs to the process `by`.
    pub(super) fn apply(&mut self, by: &str, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for (n, part) in text.split(|c: char| !c.is_ascii_alphanumeric()).enumerate() {
            // The separator, of one byte or more, stands between this part and the one before.
            if n > 0 {
                let at = part.as_ptr() as usize - text.as_ptr() as usize;
                out.extend(text[..at].chars().next_back());
            }
            let is_id = part.len() == 26
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
            let is_hash = part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
            match () {
                () if is_id && out.ends_with("PART#") => out.push('…'),
                () if is_id => {
                    out.truncate(out.len() - if out.ends_with("job_") { 4 } else { 0 });
                    out.push_str(&self.label(by, part));
                }
                () if is_hash => out.push('…'),
                () if part.bytes().all(|b| b.is_ascii_digit()) && out.ends_with("receipt-") => {
                    out.push('…');
                }
                () => out.push_str(part),
            }
        }
        out
    }

    fn label(&mut self, by: &str, id: &str) -> String {
        if let Some(known) = self.0.get(id) {
            return known.clone();
        }
        let maker = by.strip_prefix("client ").unwrap_or(by);
        let mut label = format!("job {maker}");
        while self.0.values().any(|taken| *taken == label) {
            label.push('\'');
        }
        self.0.insert(id.to_owned(), label.clone());
        label
    }
}

/// The faults that occurred in a run.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// In order; recorded on request.
    pub(super) listed: Vec<(Place, Fault)>,
    pub(super) labels: Labels,
    pub(super) tally: Tally,
    times: BTreeMap<(Arc<str>, Op, String), u32>,
}

/// Lets a world's calls go wrong as planned. With `places` every fault is recorded by its place.
pub(super) fn inject(
    world: &World,
    seed: u64,
    faults: &Faults,
    places: bool,
) -> Arc<Mutex<Record>> {
    let record: Arc<Mutex<Record>> = Arc::default();
    let note = Arc::clone(&record);
    let (dice, clock, start) = (
        World::dice(seed ^ 0xfa01_7ed0),
        world.sim.clock.clone(),
        world.now(),
    );
    let (faults, upstream) = (faults.clone(), Arc::clone(&world.upstream));
    let places = places || matches!(faults, Faults::Listed(_));
    world.faults(move |call| {
        let mut record = note.lock().unwrap();
        let place = places.then(|| record.place(call));
        let fault = match &faults {
            Faults::Drawn {
                rate,
                for_the_first,
            } => {
                let over = clock.now() >= start.plus(*for_the_first);
                if over || dice.below(4000) >= *rate * weight(call.op) {
                    Fault::Proceed
                } else {
                    draw_fault(&dice, call.op)
                }
            }
            Faults::Listed(listed) => listed
                .iter()
                .find(|(at, _)| Some(at) == place.as_ref())
                .map_or(Fault::Proceed, |(_, fault)| *fault),
        };
        if fault != Fault::Proceed {
            record
                .tally
                .fault(call, fault, upstream.waiting(clock.now()) > 0);
            record.listed.extend(place.map(|place| (place, fault)));
        }
        fault
    });
    record
}

impl Record {
    fn place(&mut self, call: &Call) -> Place {
        // The same place whether it is a client's first try or a later one.
        let about = self
            .labels
            .apply(&call.name, &call.subject)
            .replace('\'', "");
        let times = self
            .times
            .entry((Arc::clone(&call.name), call.op, about.clone()))
            .or_default();
        *times += 1;
        Place {
            by: Arc::clone(&call.name),
            op: call.op,
            about,
            nth: *times,
        }
    }
}
