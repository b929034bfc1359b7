//! Invariants of records that wait for upstreams.

use std::collections::BTreeMap;

use shared::domain::error::ApiError;
use shared::domain::time::Timestamp;
use shared::jobs::callback::{MAX_POSTS, Posted};
use shared::ports::Key;
use shared::schema::{call_key, read_calls};

use super::steps::Moment;
use super::{End, LOOK, LOOKS, Verdict, all};
use crate::harness::World;
use crate::harness::upstream::{GIVE_UP, Taken};

/// A question is put once. Only a run that follows a lost one, and started before the upstream
/// token was stored, puts it again. A run stores what it buys before it ends well, and a run that
/// finds an upstream token does not buy.
pub(super) fn no_question_is_bought_twice(world: &World, _: &End) -> Verdict {
    all(world.upstream.taken(), |taken| {
        let Some(of) = taken.of() else { return Ok(()) };
        let Taken { bought, domain, .. } = taken;
        let lost = world
            .lost_runs
            .borrow()
            .get(&(of.job.clone(), of.chunk))
            .cloned()
            .unwrap_or_default();
        let lost = lost.iter().filter(|at| **at >= bought[0]).count();
        if bought.len() > 1 + lost {
            return Err(format!(
                "{domain} of {} was bought at {bought:?}, and {lost} runs were lost",
                of.job
            ));
        }
        let stored = world.steps.past().upstream_token(&of);
        let late = |at: &Timestamp| {
            stored.is_some_and(|stored| *at > stored.plus(world.options.enrich_timeout))
        };
        match bought.iter().find(|at| late(at)) {
            Some(at) => Err(format!(
                "{domain} of {} was bought at {at}, and its token stored at {stored:?}",
                of.job
            )),
            None => Ok(()),
        }
    })
}

/// Of equal posts at one URL one is taken, whatever is lost on the way.
pub(super) fn a_callback_is_taken_once(world: &World, _: &End) -> Verdict {
    let mut taken: BTreeMap<(String, String), u32> = BTreeMap::new();
    for post in world
        .upstream
        .posts()
        .into_iter()
        .filter(|post| post.answer == Some(Ok(Posted::Taken)))
    {
        *taken.entry((post.url, post.body.to_string())).or_default() += 1;
    }
    all(taken, |((url, body), times)| {
        if times == 1 {
            Ok(())
        } else {
            Err(format!("{body} was taken {times} times at {url}"))
        }
    })
}

/// A URL that was never issued is unknown, whatever it is made of.
pub(super) fn forged_callbacks_are_refused(world: &World, _: &End) -> Verdict {
    all(
        world
            .upstream
            .posts()
            .into_iter()
            .filter(|post| post.forged),
        |post| match post.answer {
            Some(Ok(answer)) => Err(format!("{answer:?} at {}", post.url)),
            None
            | Some(Err(
                ApiError::NotFound { .. } | ApiError::Unavailable { .. } | ApiError::Internal,
            )) => Ok(()),
            Some(Err(error)) => Err(format!("{error:?} at {}", post.url)),
        },
    )
}

/// A job that is over has no suspended record: only runs that were at work then still poll an
/// upstream for it.
pub(super) fn no_poll_after_the_end(world: &World, _: &End) -> Verdict {
    all(world.upstream.taken(), |taken| {
        let Some(of) = taken.of() else { return Ok(()) };
        let Some(over) = world.steps.past().over_at(&of.job) else {
            return Ok(());
        };
        let last = over.plus(world.options.enrich_timeout);
        let asked = taken.bought.iter().chain(&taken.polled);
        match asked.max().filter(|at| **at > last) {
            Some(at) => Err(format!(
                "{} of {} was asked for at {at}, over at {over}",
                taken.domain, of.job
            )),
            None => Ok(()),
        }
    })
}

/// Every record is answered when its upstream's limit has passed and the sweep has repaired every
/// loss until then. Its job is over this long after the last fault or the last question.
pub(super) fn no_record_waits_beyond_the_limit(world: &World, _: &End) -> Verdict {
    let Some(calm) = world.calm_since else {
        return Ok(());
    };
    all(world.upstream.taken(), |taken| {
        let Some(of) = taken.of() else { return Ok(()) };
        let from = taken.bought.iter().copied().max().unwrap_or(calm).max(calm);
        let latest = from.plus(GIVE_UP + LOOKS * LOOK);
        let over = world.steps.past().over_at(&of.job);
        if over.is_some_and(|over| over <= latest) {
            return Ok(());
        }
        Err(format!(
            "{} of {} was bought at {from}, and its job was over at {over:?}",
            taken.domain, of.job
        ))
    })
}

/// A post stored for a record was posted to that very record's URL.
pub(super) fn posts_are_kept_as_they_came(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| key.sk.starts_with("CHUNK#CALL#") && !key.sk.ends_with("#WAKE");
    moment.written(which, |changed, _, after| {
        let posted = moment.upstream.posts();
        let kept = read_calls(std::slice::from_ref(after)).map_err(|error| error.to_string())?;
        all(kept.into_values().flatten(), |body| {
            let here = |of| (0..MAX_POSTS).any(|nth| call_key(&of, nth) == changed.key);
            // The next version may add fields.
            let as_posted = |said: &serde_json::Value| {
                ["id", "status", "name"]
                    .iter()
                    .all(|name| said[name] == body[name])
            };
            let own = posted
                .iter()
                .any(|post| !post.forged && as_posted(&post.body) && post.of().is_some_and(here));
            if posted.is_empty() || own {
                Ok(())
            } else {
                Err(format!("{:?} holds {body}", changed.key))
            }
        })
    })
}
