//! Events are checked against the stored results of their job.

use serde_json::{Value, json};
use shared::domain::delivery::{Delivery, EventType};
use shared::domain::job::{INLINE_RESULT_BYTES, Job, ResultLine, Status};
use shared::domain::record::OutcomeStatus;

use OutcomeStatus::{Canceled, Failed, Found, Invalid, NotFound, Skipped};

use super::end::delivery_of;
use super::{End, Verdict, all, same};
use crate::harness::World;

/// Each event's body agrees with the stored results: line by line, or by counts and the place of
/// the lines. Contacts have fields of their own names, whose rules `tests/surfaces` has; here their
/// ids and order are checked.
///
/// This holds for the data of the harness's own providers: of anything else a surface may show a
/// part, or numbers as ECMAScript has them.
pub(super) fn events_say_what_results_say(world: &World, end: &End) -> Verdict {
    if !world.is_scripted() {
        return Ok(());
    }
    all(&end.reported, |(_, exchange)| {
        let Some(id) = delivery_of(exchange) else {
            return Ok(());
        };
        let there = end.deliveries.iter().find(|delivery| delivery.id == id);
        let job = end.ended().find(|(job, _)| job.spec.id == id.job);
        let (Some(delivery), Some((job, lines))) = (there, job) else {
            return Ok(());
        };
        let reported = Notified {
            body: &exchange.json(),
            delivery,
            job,
            lines,
        };
        let fits = match delivery.surface.as_str() {
            "native" => reported.native(),
            "apione" => reported.apione(),
            "fullenrich" => reported.fullenrich(),
            "sixtyfour" => reported.sixtyfour(),
            "springbolt" => reported.springbolt(),
            _ => Ok(()),
        };
        fits.map_err(|why| format!("{} on {}: {why}", delivery.id, delivery.surface))
    })
}

struct Notified<'a> {
    body: &'a Value,
    delivery: &'a Delivery,
    job: &'a Job,
    lines: &'a [ResultLine],
}

impl Notified<'_> {
    fn says(&self, pointer: &str, should: &Value) -> Verdict {
        let is = self.body.pointer(pointer).unwrap_or(&Value::Null);
        same(pointer, &is, &should)
    }

    fn number(&self, statuses: &[OutcomeStatus]) -> Value {
        self.lines
            .iter()
            .filter(|line| statuses.contains(&line.outcome.status))
            .count()
            .into()
    }

    fn credits(&self) -> Value {
        self.lines
            .iter()
            .map(|line| u64::from(line.outcome.credits))
            .sum::<u64>()
            .into()
    }

    /// Checks that this text contains the place of all lines.
    fn links(&self, pointer: &str) -> Verdict {
        let place = format!("/v1/jobs/{}/results", self.job.spec.id);
        let text = self
            .body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default();
        let there = text.ends_with(&place);
        if there {
            Ok(())
        } else {
            Err(format!("{pointer} is {text:?}, and not about {place}"))
        }
    }

    /// Returns the line that a record's event is about.
    fn own_line(&self) -> Option<&ResultLine> {
        self.lines.get(self.delivery.id.record()? as usize)
    }

    /// Every value found of a record stands in its event, and none where nothing was found.
    fn has_what_was_found(reported: &Value, line: &ResultLine) -> Verdict {
        let text = reported.to_string();
        let found = line.outcome.status == Found;
        all(&line.outcome.data, |(name, value)| {
            let there = text.contains(&value.to_string());
            if there == found {
                Ok(())
            } else {
                Err(format!("{name} of line {} is shown as {there}", line.index))
            }
        })
    }

    fn native(&self) -> Verdict {
        self.says("/type", &self.delivery.event.as_str().into())?;
        if self.delivery.event == EventType::RecordFinished {
            self.says("/data/job_id", &self.job.spec.id.as_str().into())?;
            return self.says(
                "/data/result",
                &self.own_line().map_or(Value::Null, ResultLine::to_json),
            );
        }
        let counts = json!({
            "total": self.lines.len(),
            "found": self.number(&[Found]),
            "not_found": self.number(&[NotFound]),
            "failed": self.number(&[Failed]),
            "invalid": self.number(&[Invalid]),
            "skipped": self.number(&[Skipped]),
            "canceled": self.number(&[Canceled]),
        });
        self.says("/data/id", &self.job.spec.id.as_str().into())?;
        self.says("/data/status", &self.job.status.as_str().into())?;
        self.says("/data/counts", &counts)?;
        self.says("/data/credits/used", &self.credits())?;
        self.links("/data/results_url")?;
        let lines: Vec<Value> = self.lines.iter().map(ResultLine::to_json).collect();
        let bytes: u64 = lines
            .iter()
            .map(|line| line.to_string().len() as u64 + 1)
            .sum();
        let inline = bytes <= INLINE_RESULT_BYTES;
        self.says(
            "/data/results",
            &if inline { lines.into() } else { Value::Null },
        )
    }

    fn apione(&self) -> Verdict {
        self.says("/job_id", &self.job.spec.id.as_str().into())?;
        self.says("/total_records", &self.lines.len().into())?;
        self.says("/successful", &self.number(&[Found]))?;
        self.says("/not_found", &self.number(&[NotFound]))?;
        self.says(
            "/failed",
            &self.number(&[Failed, Invalid, Skipped, Canceled]),
        )?;
        self.says("/credits_used", &self.credits())?;
        let results = self.body["results"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if results.is_empty() {
            return self.links("/error");
        }
        same("results", &results.len(), &self.lines.len())?;
        all(results.iter().zip(self.lines), |(reported, line)| {
            let status = match line.outcome.status {
                Found => "success",
                NotFound => "not_found",
                _ => "failed",
            };
            let data = if status == "success" {
                Value::Object(line.outcome.data.clone())
            } else {
                Value::Null
            };
            same(
                &format!("status of line {}", line.index),
                &reported["status"],
                &status.into(),
            )?;
            same(
                &format!("input of line {}", line.index),
                &reported["input"],
                &line.record.sent().clone().into(),
            )?;
            same(
                &format!("data of line {}", line.index),
                &reported["data"],
                &data,
            )
        })
    }

    fn fullenrich(&self) -> Verdict {
        self.says("/id", &self.job.spec.id.uuid().into())?;
        let lines = if self.delivery.event == EventType::RecordFinished {
            let Some(line) = self.own_line() else {
                return Err("the record does not exist".to_owned());
            };
            self.says("/cost/credits", &line.outcome.credits.into())?;
            std::slice::from_ref(line)
        } else {
            self.says("/cost/credits", &self.credits())?;
            self.lines
        };
        // Version 1 of the API names its contacts otherwise, and shows no input.
        let first = self.body["datas"].as_array();
        let Some(contacts) = first.or(self.body["data"].as_array()) else {
            return self.links("/message");
        };
        same("contacts", &contacts.len(), &lines.len())?;
        all(contacts.iter().zip(lines), |(reported, line)| {
            let custom = line
                .record
                .metadata
                .clone()
                .map_or(Value::Null, Value::Object);
            if first.is_none() {
                same(
                    &format!("input of line {}", line.index),
                    &reported["input"],
                    &line.record.sent().clone().into(),
                )?;
            }
            same(
                &format!("custom of line {}", line.index),
                &reported["custom"],
                &custom,
            )
        })
    }

    fn sixtyfour(&self) -> Verdict {
        self.says("/task_id", &self.job.spec.id.uuid().into())?;
        let Some(line) = self.lines.first() else {
            return Err("the task has no record".to_owned());
        };
        let well = matches!(line.outcome.status, Found | NotFound);
        match (self.job.status, self.body["status"].as_str()) {
            (Status::Completed, Some("completed")) if well => {
                Self::has_what_was_found(&self.body["result"], line)
            }
            // Too large for one answer.
            (Status::Completed, Some("failed")) if well => self.links("/error"),
            (Status::Canceled, Some("failed")) => self.links("/error"),
            (Status::Completed | Status::Failed | Status::Expired, Some("failed")) => Ok(()),
            (status, reported) => Err(format!(
                "the job is {status:?}, and {reported:?} is reported"
            )),
        }
    }

    fn springbolt(&self) -> Verdict {
        let Some(line) = self.lines.first() else {
            return Err("the job has no record".to_owned());
        };
        if self.body["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("the result does not fit"))
        {
            return self.links("/message");
        }
        let reported = match line.outcome.status {
            Found => return Self::has_what_was_found(self.body, line),
            NotFound => "not_found",
            _ => "failed",
        };
        self.says("/status", &reported.into())
    }
}
