//! `later`: an upstream that takes a request and answers it later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::expression::Expr;
use super::mapping::{Pick, RESPONSE_ROOTS};
use super::reader::Entry;
use super::request::{REQUEST_KEYS, RequestTemplate};

/// The way an answer comes after its request was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaterConfig {
    /// The upstream's own id of the request in its first response: a text or a number.
    pub id: Pick,
    /// A condition: the first response says that the answer comes later. By default, wherever it
    /// has an id.
    pub when: Option<Expr>,
    /// The request that asks for the answer; `{{ later.id }}` in it is the id.
    pub poll: Option<RequestTemplate>,
    /// The time between two polls, 1 to 900 s; 30 s by default.
    pub every: Duration,
    /// A condition: a response holds the answer. By default, where `when` does not hold. With a
    /// poll, one of the two reads the response.
    pub done: Option<Expr>,
    /// A condition: a response says that no answer will come.
    pub failed: Option<Expr>,
    /// The longest wait, from the request on, 10 to 86,400 s; 1,800 s by default.
    pub give_up: Duration,
    /// The trust in a posted answer.
    pub verify: Verify,
}

/// The use of a posted answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verify {
    /// It is a hint to poll at once; its content is not read.
    Poll,
    /// It is read as the answer: the callback URL is known to the upstream alone.
    Nothing,
}

/// The default time between two polls.
const DEFAULT_EVERY: Duration = Duration::from_secs(30);

impl Verify {
    fn read(entry: &Entry<'_>, polls: bool) -> Result<Self, ConfigError> {
        let table = entry.table("{ verify = \"poll\" }")?;
        table.only(&["verify"])?;
        let entry = table.need("verify", "\"poll\" or \"nothing\"")?;
        match entry.str()? {
            "poll" if !polls => Err(entry.error("a `poll` is missing to verify a callback by")),
            "poll" => Ok(Self::Poll),
            "nothing" => Ok(Self::Nothing),
            other => Err(entry.error(format!(
                "`{other}` is not known; it is \"poll\" or \"nothing\""
            ))),
        }
    }
}

impl LaterConfig {
    /// Returns the input fields that the conditions read; `poll` has its own.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        let conditions = self.when.iter().chain(&self.done).chain(&self.failed);
        self.id
            .inputs()
            .into_iter()
            .chain(conditions.flat_map(|condition| condition.of("input")))
    }

    const EXAMPLE: &'static str = "{ id = \"/job_id\", done = \"response.status == 'done'\", \
                                   poll = { url = \"https://…/{{ later.id }}\" } }";

    /// Reads the `later` table of a provider whose first request may name `{{ callback.url }}`
    /// (`calls_back`).
    pub fn read(entry: &Entry<'_>, roots: &[&str], calls_back: bool) -> Result<Self, ConfigError> {
        let table = entry.table(Self::EXAMPLE)?;
        table.only(&[
            "id",
            "when",
            "poll",
            "done",
            "failed",
            "give_up_s",
            "callback",
        ])?;
        let id = Pick::read(&table.need(
            "id",
            "say where the first response names the job, as a JSON Pointer",
        )?)?;
        let condition = |name: &str| {
            table
                .get(name)
                .map(|entry| entry.expression(&RESPONSE_ROOTS))
                .transpose()
        };
        let (when, done, failed) = (condition("when")?, condition("done")?, condition("failed")?);
        let (poll, every) = match table.get("poll") {
            None => (None, DEFAULT_EVERY),
            Some(entry) => {
                let (request, every) = Self::read_poll(&entry, roots)?;
                (Some(request), every)
            }
        };
        if poll.is_none() && !calls_back {
            return Err(table.error(
                "how does the answer come? Add poll = { url = … }, or name {{ callback.url }} in \
                 the request, or both",
            ));
        }
        // Most conditions on a first response read its status alone, which seldom tells one poll's
        // answer from another's.
        if poll.is_some()
            && done.is_none()
            && !when.as_ref().is_some_and(|when| when.reads("response"))
        {
            return Err(table.error(
                "how is a poll's answer told from one that is still to come? Say it in `done`, \
                 such as done = \"response.status == 'done'\", or done = \"status == 200\" where \
                 the status tells",
            ));
        }
        let verify = match table.get("callback") {
            Some(entry) => Verify::read(&entry, poll.is_some())?,
            None if poll.is_some() => Verify::Poll,
            None => Verify::Nothing,
        };
        let give_up = Duration::from_secs(table.number("give_up_s", 10, 86_400)?.unwrap_or(1_800));
        Ok(Self {
            id,
            when,
            poll,
            every,
            done,
            failed,
            give_up,
            verify,
        })
    }

    /// Reads the request that asks for the answer, and the time between two of them.
    fn read_poll(
        entry: &Entry<'_>,
        roots: &[&str],
    ) -> Result<(RequestTemplate, Duration), ConfigError> {
        let table = entry.table("{ url = \"https://…/{{ later.id }}\", every_s = 30 }")?;
        table.only_and(&REQUEST_KEYS, &["every_s"])?;
        let roots: Vec<&str> = roots.iter().copied().chain(["later"]).collect();
        let request = RequestTemplate::read(&table, &roots)?;
        if !request.reads("later") {
            return Err(
                entry.error("no template of it names {{ later.id }}, so that it asks about no job")
            );
        }
        let every = table.number("every_s", 1, 900)?;
        Ok((request, every.map_or(DEFAULT_EVERY, Duration::from_secs)))
    }
}
