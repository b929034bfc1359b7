//! Upstreams that take a question and answer it later, by a callback or when they are polled.
//!
//! A callback comes from outside. Where the configuration has a `poll`, it is only a hint to poll
//! at once, unless `verify = "nothing"` says to read it. An answer posted for another job is
//! ignored.
//!
//! While polling, a passing fault costs only time: the question was taken, and perhaps paid for. A
//! job that the upstream no longer knows (404, 410) has failed, whatever `not_found` says of
//! statuses: it is the job that was not found.

use std::time::Duration;

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::exchange::{Fault, refused};
use super::request;
use super::response::{self, Response, unfit};
use crate::catalog::expression::Expr;
use crate::catalog::{LaterConfig, Mapping, Verify};
use crate::domain::record::FailureCode;
use crate::providers::{Answer, Earlier, Later};

/// Returns the wait for a question that was taken, if the first response says so, or the refusal.
pub(super) fn taken(later: &LaterConfig, first: &Response<'_>) -> Option<Answer> {
    let waits = || {
        if let Some(failed) = failed(later, first)? {
            return Ok(Some(failed));
        }
        let waits = match (&later.when, &later.done) {
            (Some(when), _) => holds(when, first)?,
            (None, Some(done)) => !holds(done, first)?,
            (None, None) => true,
        };
        Ok(waits.then(|| upstream_token(later, first)).flatten())
    };
    waits().unwrap_or_else(Some)
}

fn holds(condition: &Expr, response: &Response<'_>) -> Result<bool, Answer> {
    response
        .known
        .holds(condition)
        .map_err(|why| unfit("later", &why))
}

fn failed(later: &LaterConfig, response: &Response<'_>) -> Result<Option<Answer>, Answer> {
    let failed = later
        .failed
        .as_ref()
        .map_or(Ok(false), |failed| holds(failed, response))?;
    Ok(failed.then(|| {
        Answer::failed(
            FailureCode::ProviderError,
            "the provider took the question and could not answer it",
        )
    }))
}

fn upstream_token(later: &LaterConfig, first: &Response<'_>) -> Option<Answer> {
    match first.pick(&later.id) {
        Ok(Some(id @ (Value::String(_) | Value::Number(_)))) => Some(wait(later, &id, None)),
        // Without `when`, the id alone says so.
        Ok(None) if later.when.is_none() => None,
        Ok(_) => Some(unfit("later.id", "it is neither a text nor a number")),
        Err(why) => Some(unfit("later.id", &why)),
    }
}

fn wait(later: &LaterConfig, id: &Value, asked: Option<Duration>) -> Answer {
    let every = if later.poll.is_some() {
        later.every
    } else {
        later.give_up
    };
    Answer::Later(Later {
        upstream_token: Some(json!({"id": id})),
        poll_after: every.max(asked.unwrap_or_default()),
        give_up_in: later.give_up,
        refused: false,
        outage: None,
    })
}

/// Returns the answer in a response, if it is the last one.
fn settled(later: &LaterConfig, response: &Response<'_>, mapping: &Mapping) -> Option<Answer> {
    let settled = || {
        if let Some(failed) = failed(later, response)? {
            return Ok(Some(failed));
        }
        let done = match (&later.done, &later.when) {
            (Some(done), _) => holds(done, response)?,
            (None, Some(when)) => !holds(when, response)?,
            (None, None) => true,
        };
        Ok(done.then(|| response.map(mapping)))
    };
    settled().unwrap_or_else(Some)
}

/// Polls a question that was taken.
pub(super) async fn go_on(
    later: &LaterConfig,
    earlier: &Earlier,
    attempt: &Attempt<'_>,
) -> Result<Answer, Fault> {
    let Some(id) = earlier.upstream_token.get("id") else {
        return Err(Fault::lasting(
            "the stored question was taken by another version of this provider's configuration",
        ));
    };
    let input = attempt.question.input;
    if let Some(posted) = earlier
        .posted
        .as_ref()
        .filter(|_| later.verify == Verify::Nothing)
    {
        let response = Response::new(posted, 200, input);
        let other = response
            .pick(&later.id)
            .is_ok_and(|own| own.is_some_and(|own| own != *id));
        if let Some(answer) = (!other)
            .then(|| settled(later, &response, &attempt.config().mapping))
            .flatten()
        {
            return Ok(answer);
        }
    }
    let Some(poll) = &later.poll else {
        return Ok(wait(later, id, None));
    };
    let request = match request::request(poll, &attempt.known().own("later", json!({"id": id}))) {
        Ok(request) => request,
        Err(why) => {
            return Err(Fault::lasting(format!(
                "the answer cannot be asked for: {why}"
            )));
        }
    };
    let answer = match attempt.send(&request).await {
        Ok(answer) => answer,
        Err(fault) if fault.passing => return Ok(wait(later, id, fault.wait)),
        Err(fault) => return Err(fault),
    };
    match answer.status {
        202 | 204 if answer.body.is_empty() => return Ok(wait(later, id, None)),
        200..=299 => {}
        status @ (404 | 410) => {
            return Err(Fault::lasting(format!(
                "the provider does not know the job that it began (HTTP {status})"
            )));
        }
        status => return Err(refused(status)),
    }
    let json = response::json(&answer)?;
    let settled = settled(
        later,
        &Response::new(&json, answer.status, input),
        &attempt.config().mapping,
    );
    Ok(settled.unwrap_or_else(|| wait(later, id, None)))
}
