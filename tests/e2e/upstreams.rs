//! An upstream that answers later, at the URL that it was given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::servers::Got;
use crate::world::{Tenant, request, text, world};

/// The upstream's requests about `tag`: the callback URL by domain.
async fn taken(tag: &str, count: usize) -> BTreeMap<String, String> {
    let of = |got: &Got| {
        let body = (got.path == "/late").then(|| got.json())?;
        let domain = body["domain"].as_str()?.to_owned();
        domain.contains(tag).then(|| {
            (
                domain,
                body["callback"].as_str().unwrap_or_default().to_owned(),
            )
        })
    };
    let enough = |got: &[Got]| got.iter().filter_map(of).count() >= count;
    let got = world()
        .await
        .upstream
        .server
        .wait("questions to the late upstream", enough)
        .await;
    let all: Vec<_> = got.iter().filter_map(of).collect();
    assert_eq!(all.len(), count, "nothing is asked twice");
    let keys = got
        .iter()
        .filter(|got| of(got).is_some())
        .map(|got| got.header("idempotency-key").to_owned());
    assert_eq!(
        keys.collect::<std::collections::BTreeSet<_>>().len(),
        count,
        "each question has a key of its own"
    );
    all.into_iter().collect()
}

/// Posts to a callback URL as the upstream does.
async fn post(url: &str, body: &Value) -> u16 {
    let path = url
        .strip_prefix(&world().await.url)
        .unwrap_or_else(|| panic!("{url} is not below the API's address"));
    request(
        "POST",
        path,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
    .await
    .status
}

pub(crate) async fn an_upstream_that_answers_later_answers_at_the_url_that_it_was_given() {
    let tenant = Tenant::new("late").await;
    let tag = format!("late-{}", tenant.id);
    let domain = |n: u32| format!("{n}.{tag}.example");
    let records: Vec<Value> = (0..3)
        .map(|n| json!({"input": {"domain": domain(n)}}))
        .collect();
    let job = tenant
        .submit(&json!({"type": "late", "records": records}))
        .await;
    let urls = taken(&tag, 3).await;
    let answer = |n: u32| json!({"status": "done", "result": {"name": format!("Name {n}")}});

    let forged = format!("{}A", &urls[&domain(0)][..urls[&domain(0)].len() - 1]);
    let (base, token) = urls[&domain(0)].rsplit_once('/').unwrap();
    let moved = format!(
        "{base}/{}",
        token
            .replacen(".0.0.", ".0.1.", 1)
            .replacen(".0.2.", ".0.1.", 1)
    );
    for url in [&forged, &moved] {
        if !urls.values().any(|known| known == url) {
            assert_eq!(post(url, &answer(9)).await, 404, "{url}");
        }
    }
    for n in 0..3 {
        assert_eq!(post(&urls[&domain(n)], &answer(n)).await, 204);
        assert_eq!(
            post(&urls[&domain(n)], &answer(8)).await,
            204,
            "said again, and not looked at"
        );
    }
    let ended = tenant.ended(&job).await;
    assert_eq!(
        (text(&ended, "status"), &ended["counts"]["found"]),
        ("completed", &json!(3))
    );
    for (n, line) in tenant.results(&job, 10).await.iter().enumerate() {
        assert_eq!(line["data"]["name"], format!("Name {n}"));
        assert_eq!(line["sources"]["name"]["provider"], "late-upstream");
    }
    assert_eq!(taken(&tag, 3).await.len(), 3);
}
