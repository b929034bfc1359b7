//! Webhooks: the outcome of each event, sending it again, trying a receiver, and the signing
//! secret.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::domain::export::json_line;
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;

use crate::api::{Api, Request, follow, new_key};
use crate::failure::Failure;
use crate::ids::delivery_id;
use crate::screen::{plain, print, text, thousands};

/// The time between two polls of a test's delivery.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait for a test's next attempt, and for any news of it.
const TEST_PATIENCE: Duration = Duration::from_secs(60);

/// Whose deliveries are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveriesOf {
    Job(JobId),
    One(DeliveryId),
}

impl DeliveriesOf {
    /// Reads the id of a job, a delivery or an event.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let job = JobId::parse(text).map(Self::Job);
        let of = job.or_else(|| delivery_id(text).ok().map(Self::One));
        of.ok_or_else(|| {
            "is not the id of a job, a delivery or an event (job_…, dlv_…, evt_…)".to_owned()
        })
    }
}

/// `millrace deliveries`.
pub(crate) async fn deliveries(api: &Api, of: &DeliveriesOf, as_json: bool) -> Result<(), Failure> {
    let id = match of {
        DeliveriesOf::Job(id) => id,
        DeliveriesOf::One(id) => {
            let path = format!("/v1/deliveries/{id}");
            return show_delivery(&api.send(Request::get(&path)).await?.json, as_json);
        }
    };
    let path = format!("/v1/jobs/{id}/deliveries");
    let mut any = false;
    follow(api, &Request::get(&path), "deliveries", |delivery| {
        any = true;
        show_delivery(&delivery, as_json).map(|()| true)
    })
    .await?;
    if !any && !as_json {
        api.screen()
            .note("no deliveries: the job has no webhook, or has not ended");
    }
    Ok(())
}

/// A delivery with its attempts.
fn show_delivery(delivery: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(json_line(delivery));
    }
    print(delivery_text(delivery))?;
    attempts(delivery)
        .iter()
        .try_for_each(|attempt| print(attempt_text(attempt)))
}

fn attempts(delivery: &Value) -> &[Value] {
    delivery["log"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn delivery_text(delivery: &Value) -> String {
    let mut shown = format!(
        "{} {} to {}: {}",
        text(delivery, "id"),
        text(delivery, "type"),
        text(delivery, "url"),
        text(delivery, "state")
    );
    if let Some(reason) = delivery["reason"].as_str() {
        shown += &format!(" ({})", plain(reason, 200));
    }
    if let Some(at) = delivery["next_attempt_at"].as_str() {
        shown += &format!(", next attempt at {}", plain(at, 40));
    }
    shown
}

fn attempt_text(attempt: &Value) -> String {
    let outcome = match (attempt["status_code"].as_u64(), attempt["error"].as_str()) {
        (Some(status), _) => status.to_string(),
        (None, Some(class)) => plain(class, 40),
        (None, None) => "no outcome yet".to_owned(),
    };
    let detail = attempt["detail"]
        .as_str()
        .map(|d| format!(": {}", plain(d, 200)))
        .unwrap_or_default();
    let latency = attempt["latency_ms"]
        .as_u64()
        .map(|ms| format!(" after {} ms", thousands(ms)))
        .unwrap_or_default();
    let number = attempt["number"].as_u64().unwrap_or(0);
    format!(
        "  {number}. {} {outcome}{latency}{detail}",
        text(attempt, "at")
    )
}

/// `millrace replay`.
pub(crate) async fn replay(api: &Api, id: &DeliveryId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/deliveries/{id}/replay");
    let delivery = api
        .send(Request::post(&path, Vec::new(), new_key()?))
        .await?
        .json;
    if as_json {
        print(&delivery)
    } else {
        print(delivery_text(&delivery))
    }
}

/// Runs `millrace webhook test`: waits for the outcome of the event.
pub(crate) async fn webhook_test(
    api: &Api,
    url: &str,
    wait: bool,
    as_json: bool,
) -> Result<(), Failure> {
    let body = json!({"url": url}).to_string().into_bytes();
    let mut delivery = api
        .send(Request::post("/v1/webhooks/test", body, new_key()?))
        .await?
        .json;
    if !wait {
        return if as_json {
            print(&delivery)
        } else {
            print(delivery_text(&delivery))
        };
    }
    let id = delivery["id"].as_str().and_then(DeliveryId::parse);
    let id =
        id.ok_or_else(|| Failure::failed("the answer has no delivery id; is the URL right?"))?;
    let (path, mut answered, mut seen) = (format!("/v1/deliveries/{id}"), Instant::now(), 0);
    while delivery["state"] == "pending" && answered.elapsed() < TEST_PATIENCE {
        tokio::time::sleep(ASK_EVERY).await;
        delivery = match api.send(Request::get(&path)).await {
            Ok(answer) => answer.json,
            Err(error) if error.is(403) => {
                api.screen().note("the key may not read the outcome");
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let over = attempts(&delivery)
            .iter()
            .filter(|attempt| has_outcome(attempt))
            .count();
        if over > seen {
            (seen, answered) = (over, Instant::now());
            if far(&delivery, SystemClock.now()) {
                break;
            }
        }
    }
    show_delivery(&delivery, as_json)?;
    if delivery["state"] == "delivered" {
        return Ok(());
    }
    if delivery["state"] == "pending" {
        api.screen().note(&format!(
            "not delivered yet; check again with: millrace deliveries {id}"
        ));
    }
    Err(Failure::Reported)
}

fn has_outcome(attempt: &Value) -> bool {
    !attempt["status_code"].is_null() || !attempt["error"].is_null()
}

/// Returns whether the next attempt is too far away to wait for.
fn far(delivery: &Value, now: Timestamp) -> bool {
    let next = delivery["next_attempt_at"]
        .as_str()
        .and_then(Timestamp::parse);
    next.is_some_and(|at| at.since(now) > TEST_PATIENCE)
}

/// `millrace webhook rotate`: prints the new secret.
pub(crate) async fn webhook_rotate(
    api: &Api,
    overlap_hours: Option<u32>,
    as_json: bool,
) -> Result<(), Failure> {
    let body = overlap_hours.map(|hours| json!({"overlap_hours": hours}).to_string().into_bytes());
    let request = Request::post(
        "/v1/webhooks/secret/rotate",
        body.unwrap_or_default(),
        new_key()?,
    );
    let answer = api.send(request).await?.json;
    if as_json {
        return print(&answer);
    }
    let secret = answer["secret"]
        .as_str()
        .ok_or_else(|| Failure::failed("the answer has no secret"))?;
    if let Some(until) = answer["previous_expires_at"].as_str() {
        api.screen().note(&format!(
            "the previous secret also signs until {}",
            plain(until, 40)
        ));
    }
    print(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{client, problem};
    use testkit::servers::{Reply, Server};

    const TEST: &str = "dlv_01ARZ3NDEKTSV4RRFFQ69G5FAV_0";

    fn test_delivery(state: &str, next: &str, log: &Value) -> Reply {
        let delivery = json!({"id": TEST, "type": "webhook.test", "url": "u", "state": state,
            "log": log,
            "next_attempt_at": next});
        Reply::new(200, delivery.to_string())
    }

    #[tokio::test]
    async fn a_test_waits_for_what_comes_of_it() {
        let (soon, late) = ("2020-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z");
        let (none, bad, good) = (
            json!([]),
            json!([{"number": 1, "status_code": 500, "error": "status"}]),
            json!([
            {"number": 1, "status_code": 500, "error": "status"}, {"number": 2,
                "status_code": 200}]),
        );
        for (then, wanted) in [
            (
                vec![
                    ("pending", soon, &none),
                    ("pending", soon, &bad),
                    ("delivered", soon, &good),
                ],
                Ok(()),
            ),
            (
                vec![("pending", soon, &bad), ("exhausted", soon, &bad)],
                Err(Failure::Reported),
            ),
            (
                vec![("pending", late, &none), ("pending", late, &bad)],
                Err(Failure::Reported),
            ),
        ] {
            let first = test_delivery("pending", soon, &none);
            let replies = [first].into_iter().chain(
                then.iter()
                    .map(|(state, next, log)| test_delivery(state, next, log)),
            );
            let server = Server::replying(replies.collect()).await;
            assert_eq!(
                webhook_test(&client(&server.url("/base")), "u", true, false).await,
                wanted
            );
            assert_eq!(server.got().len(), then.len() + 1);
        }
        let server = Server::replying(vec![test_delivery("pending", soon, &none)]).await;
        assert_eq!(
            webhook_test(&client(&server.url("/base")), "u", false, false).await,
            Ok(())
        );
        assert_eq!(server.got().len(), 1);
        let server =
            Server::replying(vec![test_delivery("pending", soon, &none), problem(403)]).await;
        assert_eq!(
            webhook_test(&client(&server.url("/base")), "u", true, false).await,
            Err(Failure::Reported)
        );
    }

    #[tokio::test]
    async fn a_delivery_is_shown_by_its_own_id_and_by_its_events() {
        for id in [
            TEST.to_owned(),
            TEST.to_lowercase(),
            TEST.replace("dlv_", "evt_"),
        ] {
            let server = Server::replying(vec![test_delivery("delivered", "", &json!([]))]).await;
            let of = DeliveriesOf::parse(&id).unwrap();
            deliveries(&client(&server.url("/base")), &of, false)
                .await
                .unwrap();
            assert_eq!(server.got()[0].path, format!("/base/v1/deliveries/{TEST}"));
        }
        assert!(matches!(
            DeliveriesOf::parse("job_01arz3ndektsv4rrffq69g5fav"),
            Ok(DeliveriesOf::Job(_))
        ));
        assert!(DeliveriesOf::parse("evt_1").is_err());
    }
}
