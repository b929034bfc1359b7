//! Jobs from the caller's side: list, stop, start again, erase.

use futures_util::StreamExt;
use serde_json::Value;
use shared::domain::export::json_line;
use shared::domain::ids::JobId;

use crate::api::{Api, ApiError, Request, follow, new_key};
use crate::failure::Failure;
use crate::screen::{print, text, thousands};
use crate::watch::ended;

/// Jobs of a list whose deliveries are asked for, and how many at once.
const WEBHOOKS_SHOWN: usize = 100;
const WEBHOOKS_AT_ONCE: usize = 8;
/// `millrace jobs`.
pub(crate) async fn list(
    api: &Api,
    status: Option<&str>,
    limit: u32,
    as_json: bool,
) -> Result<(), Failure> {
    let mut request = Request::get("/v1/jobs");
    if let Some(status) = status {
        request = request.query("status", status);
    }
    let mut jobs = Vec::new();
    let mut left = limit;
    follow(api, &request, "jobs", |job| {
        left -= 1;
        if as_json {
            print(json_line(&job))?;
        } else {
            jobs.push(job);
        }
        Ok(left > 0)
    })
    .await?;
    if as_json {
        return Ok(());
    }
    print(format!(
        "{:30} {:10} {:8} {:>7} {:>7}  {:9} {:20} NAME",
        "JOB", "STATUS", "TYPE", "RECORDS", "FOUND", "WEBHOOK", "CREATED"
    ))?;
    let rows = jobs.iter().enumerate().map(|(at, job)| async move {
        // A job that runs has sent nothing of its end.
        let asked = at < WEBHOOKS_SHOWN && ended(job);
        (
            job,
            if asked {
                webhook(api, &text(job, "id")).await
            } else {
                String::new()
            },
        )
    });
    let mut rows = futures_util::stream::iter(rows).buffered(WEBHOOKS_AT_ONCE);
    while let Some((job, webhook)) = rows.next().await {
        print(row(job, &webhook).trim_end())?;
    }
    Ok(())
}

/// Returns the state of the delivery that reports a job's end: its first. `-` if it has none.
async fn webhook(api: &Api, id: &str) -> String {
    let path = format!("/v1/jobs/{id}/deliveries");
    match api.send(Request::get(&path).query("limit", "1")).await {
        Ok(answer) => match &answer.json["deliveries"][0] {
            first if first["state"].is_string() && first["type"] != "record.finished" => {
                text(first, "state")
            }
            _ => "-".to_owned(),
        },
        // The list is what was asked for.
        Err(_) => "?".to_owned(),
    }
}

fn row(job: &Value, webhook: &str) -> String {
    let number = |name: &str| thousands(job["counts"][name].as_u64().unwrap_or(0));
    format!(
        "{:30} {:10} {:8} {:>7} {:>7}  {:9} {:20} {}",
        text(job, "id"),
        text(job, "status"),
        text(job, "type"),
        number("total"),
        number("found"),
        webhook,
        text(job, "created_at")
            .split('.')
            .next()
            .unwrap_or_default(),
        text(job, "name"),
    )
}

/// `millrace cancel`.
pub(crate) async fn cancel(api: &Api, id: &JobId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}/cancel");
    let job = api
        .send(Request::post(&path, Vec::new(), new_key()?))
        .await?
        .json;
    if as_json {
        print(&job)
    } else {
        print(format!("{id} {}", text(&job, "status")))
    }
}

/// `millrace retry`: prints the id of the new job.
pub(crate) async fn retry(api: &Api, id: &JobId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}/retry");
    let job = api
        .send(Request::post(&path, Vec::new(), new_key()?))
        .await?
        .json;
    if as_json {
        print(&job)
    } else {
        print(text(&job, "id"))
    }
}

/// `millrace delete`.
pub(crate) async fn delete(api: &Api, id: &JobId) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}");
    match api.send(Request::delete(&path)).await {
        Ok(_) => {}
        // An earlier try did it, and its answer was lost.
        Err(ApiError::Refused { problem, tries }) if problem.status == 404 && tries > 1 => {}
        Err(error) => return Err(error.into()),
    }
    print(format!("{id} deleted"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::tests::{client, problem};
    use testkit::servers::{Reply, Server};

    #[tokio::test]
    async fn a_list_of_jobs_has_the_state_of_each_webhook() {
        for (first, wanted) in [
            (
                json!({"state": "exhausted", "type": "job.completed"}),
                "exhausted",
            ),
            (
                json!({"state": "delivered", "type": "record.finished"}),
                "-",
            ),
            (Value::Null, "-"),
        ] {
            let server = Server::replying(vec![Reply::new(
                200,
                json!({"deliveries": [first]}).to_string(),
            )])
            .await;
            assert_eq!(
                webhook(&client(&server.url("/base")), "job_1").await,
                wanted
            );
        }
        let server = Server::replying(vec![problem(403)]).await;
        assert_eq!(webhook(&client(&server.url("/base")), "job_1").await, "?");
        assert!(row(&json!({"id": "job_1", "name": "n"}), "pending").contains(" pending   "));
    }
}
