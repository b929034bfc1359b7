//! Expressions in requests and in the mapping of responses.

use super::*;
use crate::providers::testing::{input, ports, question};

async fn ask(
    api: &Http,
    value: Value,
    script: impl FnOnce(&crate::providers::testing::Script),
) -> (Answer, Vec<HttpRequest>) {
    let (ports, scripted) = ports();
    script(&scripted);
    let answer = api.ask(&question(&input(value), LIMIT), &ports).await;
    (answer, scripted.requests())
}

#[tokio::test]
async fn expressions_compute_values_and_keep_them_in_their_place() {
    let api = provider(
        "method = \"POST\"\nurl = \"https://api.example.com/{{ input.domain | domain }}/{{ input.domain | upper }}\"\n\
         query = { c = \"{{ input.country | default('DE') | lower }}\", n = \"{{ input.employees + 1 }}\" }\n\
         headers = { authorization = \"Basic {{ (secret.key ~ ':') | base64 }}\", x-c = \"{{ input.country | trim }}\" }\n\
         body = { both = \"{{ input.domain ~ '}}' ~ input.country }}\", list = \"{{ [input.domain, input.country] }}\", \
         json = \"{{ {'a': input.employees} | tojson }}\", many = \"{{ input.employees if input.employees is defined else 0 }}\", \
         first = \"{{ input.domain | split('.') | first }}\", big = \"{{ input.employees is defined and input.employees > 5 }}\" }\n\
         secrets = { key = { env = \"API_KEY\" } }\nrequires = [\"domain\"]\nfields = { name = \"/name\" }",
    );
    let found = |script: &crate::providers::testing::Script| script.answer(200, r#"{"name": "A"}"#);
    let (_, sent) = ask(
        &api,
        json!({"domain": "no domain", "employees": 12, "country": " fr "}),
        found,
    )
    .await;
    assert!(sent.is_empty(), "no domain in the path, no request");
    let (_, sent) = ask(
        &api,
        json!({"domain": "https://WWW.A.example/x?y=\"1", "employees": 12, "country": " fr "}),
        found,
    )
    .await;
    assert_eq!(
        sent[0].url,
        "https://api.example.com/a.example/HTTPS%3A%2F%2FWWW.A.EXAMPLE%2FX%3FY%3D%221?c=%20fr%20&n=13"
    );
    assert!(sent[0].headers.contains(&(
        "authorization".to_owned(),
        "Basic czNjciZ0ICJrZXk6".to_owned()
    )));
    assert!(
        sent[0]
            .headers
            .contains(&("x-c".to_owned(), "fr".to_owned()))
    );
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    let text = "https://WWW.A.example/x?y=\"1";
    assert_eq!(
        body,
        json!({"both": format!("{text}}}}} fr "), "list": [text, " fr "], "json": "{\"a\":12}", "many": 12, "first": "https://WWW", "big": true})
    );
    // An expression over an absent input has no value, and is left out; `default` and `is defined`
    // give one.
    let (_, sent) = ask(
        &api,
        json!({"domain": "a.example", "employees": null}),
        found,
    )
    .await;
    assert_eq!(
        sent[0].url,
        "https://api.example.com/a.example/A.EXAMPLE?c=de"
    );
    assert!(!sent[0].headers.iter().any(|(name, _)| name == "x-c"));
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(
        body,
        json!({"list": ["a.example", null], "json": "{\"a\":null}", "many": 0, "first": "a", "big": false})
    );
}

#[test]
fn what_has_a_value_of_its_own_is_not_required() {
    let api = provider(
        "url = \"https://api.example.com/{{ input.country | default('DE') }}/{{ input.domain ~ '' }}\"\n\
         fields = { name = \"/name\" }",
    );
    assert_eq!(api.config().requires, ["domain"]);
}

#[tokio::test]
async fn a_computed_header_takes_no_line_break_and_no_value_becomes_a_template() {
    let api = provider(&format!(
        "{GET}headers = {{ x-domain = \"{{{{ 'a' ~ input.domain }}}}\" }}"
    ));
    let (answer, sent) = ask(&api, json!({"domain": "a\r\nx: y"}), |_| ()).await;
    assert!(matches!(answer, Answer::Invalid(_)) && sent.is_empty());
    let (_, sent) = ask(&api, json!({"domain": "{{ secret.key }}"}), |script| {
        script.answer(404, "");
    })
    .await;
    assert!(
        sent[0]
            .headers
            .contains(&("x-domain".to_owned(), "a{{ secret.key }}".to_owned()))
    );
}

#[tokio::test]
async fn an_expression_that_does_not_fit_the_input_is_told_without_its_value() {
    let api = provider(
        "url = \"https://api.example.com/{{ input.domain * 2.5 }}\"\nfields = { name = \"/name\" }",
    );
    let (answer, sent) = ask(&api, json!({"domain": "personal"}), |_| ()).await;
    assert_eq!(
        answer,
        Answer::Invalid("`input.domain * 2.5` cannot be computed (invalid operation)".to_owned())
    );
    assert!(sent.is_empty());
}

const MAPPED: &str = "url = \"https://api.example.com/{{ input.domain }}\"\n\
    not_found = { when = \"response.count == 0 or response.error == 'none'\" }\n\
    confidence = { expr = \"response.score / 100\" }\n\
    fields = { name = { expr = \"response.first ~ ' ' ~ response.last\" }, city = \"/city\", \
    same = { expr = \"response.domain == input.domain\" }, sum = { expr = \"response.a + response.b\" }, \
    mails = { expr = \"response.mails | join(', ')\" }, all = { expr = \"response.deep\" } }";

#[tokio::test]
async fn fields_conditions_and_confidence_are_computed() {
    let api = provider(MAPPED);
    let answered = async |body: Value| {
        ask(&api, json!({"domain": "a.example"}), |script| {
            script.answer(200, &body.to_string());
        })
        .await
        .0
    };
    assert_eq!(
        answered(
            json!({"first": "Ada", "last": "Byron", "count": 1, "score": 87, "domain": "a.example", "a": 1, "b": 2.5,
            "mails": ["x", null, "y"], "deep": {"z": [1, null, {"y": 18_446_744_073_709_551_615_u64}], "a": -1}})
        )
        .await,
        Answer::Found {
            fields: input(json!({"name": "Ada Byron", "same": true, "sum": 3.5, "mails": "x, y",
                "all": {"z": [1, null, {"y": 18_446_744_073_709_551_615_u64}], "a": -1}})),
            confidence: Some(0.87.into())
        }
    );
    assert_eq!(
        answered(json!({"count": 0, "city": "x"})).await,
        Answer::NotFound
    );
    // A part of the name is missing: no half names. A condition over an absent value does not hold.
    assert_eq!(
        answered(json!({"first": "Ada", "last": null, "city": "x", "score": 400})).await,
        Answer::Found {
            fields: input(json!({"city": "x"})),
            confidence: None
        }
    );
    // A field that cannot be computed leaves the others, and is not "not found".
    assert_eq!(
        answered(json!({"a": [1], "b": 2, "city": "x"})).await,
        Answer::Found {
            fields: input(json!({"city": "x"})),
            confidence: None
        }
    );
    let answer = answered(json!({"a": "personal", "b": 2})).await;
    assert_eq!(
        failed(&answer),
        (
            "provider_error",
            "the provider's response does not fit fields.sum in its configuration: `response.a + response.b` cannot be \
             computed (invalid operation)"
        )
    );
    assert_eq!(answered(json!({})).await, Answer::NotFound);
}

/// The default of the configuration is for confidences that are absent, not for those that are
/// null.
#[tokio::test]
async fn a_confidence_that_is_null_is_the_least() {
    for pick in [
        "\"/sure/score\"",
        "{ expr = \"response.sure.score\" }",
        "{ expr = \"response.sure.score / 100\" }",
    ] {
        let api = provider(&format!(
            "url = \"https://api.example.com/{{{{ input.domain }}}}\"\nfields = {{ city = \"/city\" }}\nconfidence = {pick}"
        ));
        for (sure, wanted) in [
            (r#"{"score": NaN}"#, Some(0.0)),
            (r#"{"score": -Infinity}"#, Some(0.0)),
            (r#"{"score": null}"#, Some(0.0)),
            (r#"{"other": NaN}"#, None),
            (r#"{"score": "high"}"#, None),
            (r#"{"score": 400}"#, None),
            ("{}", None),
            ("null", None),
        ] {
            let (ports, script) = ports();
            script.answer(200, &format!(r#"{{"city": "x", "sure": {sure}}}"#));
            let answer = api
                .ask(
                    &question(&input(json!({"domain": "a.example"})), LIMIT),
                    &ports,
                )
                .await;
            let wanted = Answer::Found {
                fields: input(json!({"city": "x"})),
                confidence: wanted.map(Into::into),
            };
            assert_eq!(answer, wanted, "{pick} {sure}");
        }
    }
}

#[tokio::test]
async fn a_hostile_response_costs_no_more_than_its_size() {
    let api = provider(
        "url = \"https://api.example.com/{{ input.domain }}\"\n\
         fields = { name = { expr = \"response.text * response.n\" } }",
    );
    let answer = ask(&api, json!({"domain": "a"}), |script| {
        script.answer(
            200,
            &json!({"text": "x".repeat(1000), "n": 4_000_000_000_u64}).to_string(),
        );
    });
    assert_eq!(failed(&answer.await.0).0, "provider_error");
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let api = provider(
        "url = \"https://api.example.com/{{ input.domain }}\"\nfields = { name = { expr = \"response.x\" } }",
    );
    let answer = ask(&api, json!({"domain": "a"}), |script| {
        script.answer(200, &format!("{{\"x\": {deep}}}"));
    })
    .await
    .0;
    assert!(matches!(answer, Answer::Found { .. }), "{answer:?}");
}
