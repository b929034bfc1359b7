//! Makes a failing plan small while the same invariant still fails: fewer faults, fewer actions,
//! plainer jobs.
//!
//! Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002: leave out
//! halves, then quarters, and so on down to single parts, as long as anything helps.

use std::time::Duration;

use testkit::harness::Version;
use testkit::sim::{QueueFaults, StoreFaults};

use super::faults::Faults;
use super::plan::{Answer, Plan, What};
use super::play::Verdict;
use crate::ENRICH_TIMEOUT;

/// A smaller plan, its outcome, and the number of runs it took to find it.
#[derive(Debug)]
pub(super) struct Shrunk {
    pub(super) plan: Plan,
    pub(super) verdict: Verdict,
    pub(super) runs: u32,
    /// With its faults listed it did not fail: it is the plan that was drawn.
    pub(super) as_drawn: bool,
}

/// Plays a plan, keeping its trace and its faults.
pub(super) type Player<'a> = &'a dyn Fn(&Plan) -> Verdict;

/// Shrinks a plan in at most this many runs. `name` is the invariant that fails, and must still.
pub(super) fn shrink(plan: &Plan, play: Player<'_>, name: &str, runs: u32) -> Shrunk {
    let verdict = play(plan);
    let listed = Plan {
        faults: Faults::Listed(verdict.faults.clone()),
        ..plan.clone()
    };
    // As a list of faults the plan must fail the same way; else there is nothing that can be left
    // out.
    let replayed = play(&listed);
    if !replayed.names().any(|found| found == name) {
        return Shrunk {
            plan: plan.clone(),
            verdict,
            runs: 1,
            as_drawn: true,
        };
    }
    let mut search = Search {
        play,
        name,
        left: runs,
        best: (listed, replayed),
    };
    while search.pass() {}
    let (plan, verdict) = search.best;
    Shrunk {
        plan,
        verdict,
        runs: runs - search.left,
        as_drawn: false,
    }
}

/// Plans of few actions are also tried under other seeds: the limit, and the number of seeds.
const FEW: usize = 3;
const OTHERS: u64 = 6;

struct Search<'a> {
    play: Player<'a>,
    name: &'a str,
    left: u32,
    best: (Plan, Verdict),
}

impl Search<'_> {
    /// Takes the plan if it fails as well. A small one is tried under other seeds too: the omitted
    /// part may only have decided who ran next.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if plan == self.best.0 || plan.actions.is_empty() {
            return false;
        }
        let smaller = plan.actions.len() < self.best.0.actions.len() && plan.actions.len() <= FEW;
        let others = (0..OTHERS).filter(|_| smaller).map(|seed| Plan {
            seed,
            ..plan.clone()
        });
        let plans: Vec<Plan> = others.collect();
        self.try_one(plan) || plans.into_iter().any(|plan| self.try_one(plan))
    }

    fn try_one(&mut self, plan: Plan) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let verdict = (self.play)(&plan);
        let fails = verdict.names().any(|name| name == self.name);
        if fails {
            // Faults of calls that are no longer made are removed.
            let plan = Plan {
                faults: Faults::Listed(verdict.faults.clone()),
                ..plan
            };
            self.best = (plan, verdict);
        }
        fails
    }

    /// Tries everything once; says whether anything helped.
    fn pass(&mut self) -> bool {
        let before = self.best.0.clone();
        self.leave_out(|plan| plan.faults.listed().len(), Plan::without_faults);
        self.leave_out(|plan| plan.actions.len(), Plan::without_actions);
        for simpler in simpler(&self.best.0) {
            // Each on top of those that helped.
            let plan = simpler(&self.best.0);
            self.try_plan(plan);
        }
        for at in 0..self.best.0.actions.len() {
            self.simplify_action(at);
        }
        self.best.0 != before
    }

    /// Leaves out parts of a list, from its halves down to single ones.
    fn leave_out(&mut self, len: fn(&Plan) -> usize, without: fn(&Plan, usize, usize) -> Plan) {
        let mut size = len(&self.best.0);
        while size > 0 {
            let mut at = 0;
            while at < len(&self.best.0) {
                let plan = without(&self.best.0, at, size);
                if !self.try_plan(plan) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    fn simplify_action(&mut self, at: usize) {
        let What::Submit(job) = &self.best.0.actions[at].what else {
            return;
        };
        let mut scripts = job.scripts.clone();
        // Fewer records, then plainer ones.
        let mut drop = scripts.len() / 2;
        while drop > 0 && scripts.len() > 1 {
            let mut from = 0;
            while from + drop <= scripts.len() && scripts.len() > drop {
                let fewer: Vec<&str> = [&scripts[..from], &scripts[from + drop..]].concat();
                if self.try_plan(self.with_job(at, |job| job.scripts.clone_from(&fewer))) {
                    scripts = fewer;
                } else {
                    from += drop;
                }
            }
            drop /= 2;
        }
        for n in 0..scripts.len() {
            self.try_plan(self.with_job(at, |job| job.scripts[n] = "found"));
        }
        self.try_plan(self.with_job(at, |job| job.clients = 1));
        self.try_plan(self.with_job(at, |job| job.surface = "native"));
        self.try_plan(self.with_job(at, |job| job.kind = "company"));
        self.try_plan(self.with_job(at, |job| job.record_webhook = false));
        self.try_plan(self.with_job(at, |job| job.webhook = false));
        self.try_plan(self.with_job(at, |job| job.max_credits = None));
        self.try_plan(self.with_job(at, |job| job.partial_budget = false));
    }

    fn with_job(&self, at: usize, change: impl FnOnce(&mut super::plan::Job)) -> Plan {
        let mut plan = self.best.0.clone();
        if let What::Submit(job) = &mut plan.actions[at].what {
            change(job);
        }
        plan
    }
}

type Simpler = Box<dyn Fn(&Plan) -> Plan>;

fn simpler(plan: &Plan) -> Vec<Simpler> {
    let mut all: Vec<Simpler> = vec![
        Box::new(|plan| Plan {
            enrichers: 1,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            dispatchers: 1,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            queue: QueueFaults::default(),
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            store: StoreFaults::default(),
            ..plan.clone()
        }),
        Box::new(|plan| plan.with_queue(|queue| queue.duplicate = 0)),
        Box::new(|plan| plan.with_queue(|queue| queue.reorder = false)),
        Box::new(|plan| plan.with_queue(|queue| queue.early_visibility = 0)),
        Box::new(|plan| plan.with_queue(|queue| queue.undeleted = 0)),
        Box::new(|plan| plan.with_queue(|queue| queue.late = 0)),
        Box::new(|plan| plan.with_store(|store| store.index_lag = Duration::ZERO)),
        Box::new(|plan| plan.with_store(|store| store.stale = Duration::ZERO)),
        Box::new(|plan| plan.with_store(|store| store.expiry = None)),
        Box::new(|plan| plan.with_store(|store| store.transaction = Duration::ZERO)),
        Box::new(|plan| Plan {
            dispatch_batch: 5,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            max_receives: 10,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            malformed: 0,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            enrich_timeout: ENRICH_TIMEOUT,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            version: Version::Current,
            ..plan.clone()
        }),
        Box::new(|plan| Plan {
            afterwards: false,
            ..plan.clone()
        }),
        Box::new(Plan::with_everything_at_once),
    ];
    for tenant in 0..plan.tenants.len() {
        all.push(Box::new(move |plan| {
            plan.with_tenant(tenant, |tenant| tenant.answers.clear())
        }));
        all.push(Box::new(move |plan| {
            plan.with_tenant(tenant, |tenant| tenant.answers.truncate(1))
        }));
        all.push(Box::new(move |plan| {
            plan.with_tenant(tenant, |tenant| tenant.answers = vec![Answer::Status(500)])
        }));
        all.push(Box::new(move |plan| {
            plan.with_tenant(tenant, |tenant| tenant.credits = 100_000)
        }));
        all.push(Box::new(move |plan| {
            plan.with_tenant(tenant, |tenant| tenant.schedule = Some(vec![1, 5, 90]))
        }));
    }
    // The last tenant, if no action is for it.
    for _ in 1..plan.tenants.len() {
        all.push(Box::new(Plan::without_idle_tenant));
    }
    all
}

impl Plan {
    fn without_faults(&self, at: usize, size: usize) -> Self {
        let listed = self.faults.listed();
        let to = (at + size).min(listed.len());
        Self {
            faults: Faults::Listed([&listed[..at], &listed[to..]].concat()),
            ..self.clone()
        }
    }

    /// Returns the plan without these actions, and without those about the jobs they created.
    fn without_actions(&self, at: usize, size: usize) -> Self {
        let mut kept = self.actions.clone();
        let to = (at + size).min(kept.len());
        let mut gone: Vec<usize> = kept.drain(at..to).map(|action| action.number).collect();
        kept.retain(|action| {
            let stays = action.what.job().is_none_or(|job| !gone.contains(&job));
            if !stays {
                gone.push(action.number);
            }
            stays
        });
        Self {
            actions: kept,
            ..self.clone()
        }
    }

    fn with_tenant(&self, at: usize, change: impl FnOnce(&mut super::plan::Tenant)) -> Self {
        let mut plan = self.clone();
        if let Some(tenant) = plan.tenants.get_mut(at) {
            change(tenant);
        }
        plan
    }

    fn with_queue(&self, change: impl FnOnce(&mut QueueFaults)) -> Self {
        let mut plan = self.clone();
        change(&mut plan.queue);
        plan
    }

    fn with_store(&self, change: impl FnOnce(&mut StoreFaults)) -> Self {
        let mut plan = self.clone();
        change(&mut plan.store);
        plan
    }

    fn with_everything_at_once(&self) -> Self {
        let mut plan = self.clone();
        for action in &mut plan.actions {
            action.at = Duration::ZERO;
        }
        plan
    }

    /// Removes a tenant that no action is for; those behind it move up.
    fn without_idle_tenant(&self) -> Self {
        let mut plan = self.clone();
        let idle = |n: &usize| self.actions.iter().all(|action| action.tenant != *n);
        if plan.tenants.len() > 1
            && let Some(idle) = (0..plan.tenants.len()).find(idle)
        {
            plan.tenants.remove(idle);
            for action in &mut plan.actions {
                action.tenant -= usize::from(action.tenant > idle);
            }
        }
        plan
    }
}
