//! A tenant's own webhook secret for one surface: what its receivers verify with, what is refused,
//! and that it is never shown.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use shared::domain::signature::{Secret, verify};
use shared::domain::time::Timestamp;
use shared::lambda::http::ApiResponse;
use shared::schema::secret_key;
use shared::surfaces::SURFACES;
use testkit::fuzz::without_secrets;
use testkit::harness::{Exchange, HOOK, ServedApi, World, body, found};

const HOUR: Duration = Duration::from_secs(3600);
const OPERATIONS: &str = "[operations.apione]\ncompany = \"any\"\n\
    [operations.sixtyfour]\nfind_email = \"any\"\n\
    [operations.fullenrich]\nenrich = \"any\"\n";
/// Of the vendor's form for each surface.
const CHOSEN: [(&str, &str); 3] = [
    ("apione", "chosen-by-the-tenant-0001"),
    ("sixtyfour", "sk_whsec_chosen-by-the-tenant-0002"),
    ("fullenrich", "chosen-by-the-tenant-0003"),
];

fn served() -> ServedApi {
    ServedApi::new(World::new(), SURFACES, OPERATIONS, |_| {
        (Duration::ZERO, found(json!({"company_name": "Acme"})))
    })
}

fn rotate(served: &mut ServedApi, key: Option<&str>, request: &Value) -> ApiResponse {
    let bearer = format!("Bearer {}", served.key());
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    served.post("/v1/webhooks/secret/rotate", &headers, request)
}

/// Submits on a surface and returns its event.
fn event(served: &mut ServedApi, surface: &str) -> Exchange {
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    let from = served.world.receiver.exchanges().len();
    let (path, header, sent) = match surface {
        "apione" => (
            "/api/v1/async/enrich",
            ("x-api-key", key.as_str()),
            json!({"type": "company", "records": [{"domain": "a.example"}],
                "webhook_url": HOOK}),
        ),
        "sixtyfour" => (
            "/find-email-async",
            ("x-api-key", key.as_str()),
            json!({"lead": {"name": "A"}, "webhook_url": HOOK}),
        ),
        _ => (
            "/api/v2/contact/enrich/bulk",
            ("authorization", bearer.as_str()),
            json!({"name": "n", "webhook_url": HOOK, "data": [{"first_name": "J",
                "last_name": "S", "domain": "example.com", "enrich_fields": ["contact.phones"]}]}),
        ),
    };
    let accepted = served.post(path, &[header], &sent);
    assert_eq!(accepted.status, 200, "{surface}: {accepted:?}");
    served.settle();
    served.world.receiver.exchanges()[from].clone()
}

fn hmac<M: Mac + KeyInit>(key: &str, parts: &[&[u8]]) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
    for part in parts {
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

/// Verifies an event as the vendor's receivers do, with the text that they were given.
fn accepts(surface: &str, key: &str, event: &Exchange) -> bool {
    match surface {
        "apione" => {
            let sent = event.header("x-apione-signature");
            sent == format!("sha256={}", hmac::<Hmac<Sha256>>(key, &[&event.body]))
        }
        "sixtyfour" => {
            let sent = event.header("sixtyfour-signature");
            let at = sent.split(',').find_map(|part| part.strip_prefix("t="));
            let signed = [at.unwrap().as_bytes(), b".", &event.body];
            let expected = hmac::<Hmac<Sha256>>(key, &signed);
            sent.split(',')
                .any(|part| part.strip_prefix("v1=") == Some(&expected))
        }
        _ => event.header("x-signature-sha1") == hmac::<Hmac<Sha1>>(key, &[&event.body]),
    }
}

/// Verifies the headers of Standard Webhooks with the tenant's secret.
fn is_standard(secret: &Secret, event: &Exchange) -> bool {
    let header = |name| Some(event.header(name));
    let now = event.header("webhook-timestamp").parse::<i64>().unwrap();
    verify(
        secret,
        header("webhook-id"),
        header("webhook-timestamp"),
        header("webhook-signature"),
        &event.body,
        Timestamp(now * 1000),
    )
    .is_ok()
}

#[test]
fn a_receiver_with_its_api_key_as_its_one_setting_accepts_fullenrich_events() {
    let mut served = served();
    let key = served.key().to_owned();
    let usual = served.world.tenant.secret.clone();
    let answer = without_secrets(&[&key], || {
        let request = json!({"surface": "fullenrich", "secret": key});
        let answer = rotate(&mut served, None, &request);
        assert!(!String::from_utf8_lossy(&answer.body).contains(&key));
        let event = event(&mut served, "fullenrich");
        assert!(accepts("fullenrich", &key, &event));
        assert!(!accepts("fullenrich", usual.reveal(), &event));
        assert!(is_standard(&usual, &event));
        body(&answer, 200)
    });
    assert_eq!(
        (&answer["surface"], &answer["previous_expires_at"]),
        (&json!("fullenrich"), &Value::Null)
    );
    assert!(answer.get("secret").is_none());
    assert_eq!(answer["warnings"][0]["code"], "secret_is_api_key");
    // Other surfaces go on as before.
    let other = event(&mut served, "apione");
    assert!(accepts("apione", usual.reveal(), &other));
}

#[test]
fn each_surface_signs_with_its_own_secret_until_it_is_removed() {
    let mut served = served();
    let usual = served.world.tenant.secret.clone();
    for (surface, chosen) in CHOSEN {
        // The first takes effect at once, unless an overlap is asked for.
        let set = json!({"surface": surface, "secret": chosen});
        let answer = body(&rotate(&mut served, None, &set), 200);
        assert_eq!(
            answer,
            json!({"object": "webhook_secret", "surface": surface, "previous_expires_at": null})
        );
        let sent = event(&mut served, surface);
        assert!(accepts(surface, chosen, &sent), "{surface}");
        assert!(!accepts(surface, usual.reveal(), &sent), "{surface}");
        assert!(is_standard(&usual, &sent), "{surface}");

        let next = format!("{chosen}-next");
        let set = json!({"surface": surface, "secret": next, "overlap_hours": 1});
        let answer = body(&rotate(&mut served, None, &set), 200);
        assert!(answer["previous_expires_at"].is_string(), "{answer}");
        let during = event(&mut served, surface);
        assert!(accepts(surface, chosen, &during), "{surface}: the old one");
        assert_eq!(accepts(surface, &next, &during), surface == "sixtyfour");
        served.world.run_for(HOUR);
        let after = event(&mut served, surface);
        assert!(accepts(surface, &next, &after) && !accepts(surface, chosen, &after));

        let remove = json!({"surface": surface, "remove": true});
        body(&rotate(&mut served, None, &remove), 200);
        let usually = event(&mut served, surface);
        assert!(accepts(surface, usual.reveal(), &usually), "{surface}");
        assert!(!accepts(surface, &next, &usually), "{surface}");
        let item = served
            .world
            .sim
            .store
            .peek(&secret_key(&served.world.tenant.id));
        assert!(!format!("{item:?}").contains(chosen), "{surface}: kept");
    }
}

#[test]
fn a_first_secret_with_an_overlap_lets_the_usual_one_sign_along() {
    for (surface, chosen) in CHOSEN {
        let mut served = served();
        let usual = served.world.tenant.secret.clone();
        let set = json!({"surface": surface, "secret": chosen, "overlap_hours": 1});
        body(&rotate(&mut served, None, &set), 200);
        let during = event(&mut served, surface);
        assert!(accepts(surface, usual.reveal(), &during), "{surface}");
        served.world.run_for(HOUR);
        let after = event(&mut served, surface);
        assert!(accepts(surface, chosen, &after), "{surface}");
        assert!(!accepts(surface, usual.reveal(), &after), "{surface}");
    }
}

#[test]
fn what_is_not_a_surfaces_form_is_refused_without_repeating_it() {
    let mut served = served();
    let key = served.key().to_owned();
    let foreign = format!("mr_{}", "ab".repeat(32));
    let (short, long) = ("s".repeat(23), "l".repeat(257));
    let spaced = "with spaces, and long enough";
    let control = "with\u{7}control-and-long-enough";
    let letters = "lettres-accentu\u{e9}es-assez-longues";
    let vendor = format!("sk_whsec_{}", "v".repeat(23));
    let wrapped = format!("sk_whsec_{key}");
    let plain = "p".repeat(24);
    let refused = [
        ("apione", key.as_str(), "/secret"),
        ("apione", &foreign, "/secret"),
        ("sixtyfour", &key, "/secret"),
        ("sixtyfour", &plain, "/secret"),
        ("sixtyfour", &vendor, "/secret"),
        ("sixtyfour", &wrapped, "/secret"),
        ("springbolt", &plain, "/surface"),
        ("native", &plain, "/surface"),
        ("none", &plain, "/surface"),
    ];
    let everywhere = ["apione", "sixtyfour", "fullenrich"].into_iter();
    let everywhere = everywhere.flat_map(|surface| {
        [&short, &long, spaced, control, letters].map(|text| (surface, text, "/secret"))
    });
    let before = served
        .world
        .sim
        .store
        .peek(&secret_key(&served.world.tenant.id));
    for (surface, text, pointer) in everywhere.chain(refused) {
        let request = json!({"surface": surface, "secret": text});
        let answer = without_secrets(&[text], || rotate(&mut served, None, &request));
        let said = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!said.contains(text), "{surface}: {said}");
        let problem = body(&answer, 400);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{surface} {text}");
    }
    for request in [
        json!({"secret": plain}),
        json!({"remove": true}),
        json!({"surface": "apione"}),
        json!({"surface": "apione", "remove": 1}),
        json!({"surface": "apione", "secret": plain, "remove": true}),
        json!({"surface": "apione", "secret": plain, "overlap_hours": 73}),
        json!({"surface": 7, "secret": plain}),
        json!({"surface": "apione", "secret": [plain]}),
        json!({"surface": "springbolt", "remove": true}),
    ] {
        assert_eq!(rotate(&mut served, None, &request).status, 400, "{request}");
    }
    let after = served
        .world
        .sim
        .store
        .peek(&secret_key(&served.world.tenant.id));
    assert_eq!(before, after);
    for (surface, text) in [
        ("apione", plain.clone()),
        ("fullenrich", "f".repeat(256)),
        ("fullenrich", foreign),
        ("sixtyfour", format!("sk_whsec_{plain}")),
    ] {
        let request = json!({"surface": surface, "secret": text});
        assert_eq!(rotate(&mut served, None, &request).status, 200, "{request}");
    }
}

#[test]
fn a_repeated_request_sets_a_secret_once() {
    let mut served = served();
    let stored = |served: &ServedApi| {
        let item = served
            .world
            .sim
            .store
            .peek(&secret_key(&served.world.tenant.id));
        format!("{item:?}")
    };
    let request = |secret: &str| json!({"surface": "apione", "secret": secret, "overlap_hours": 2});
    let first = request("the-first-of-the-secrets-1");
    let answer = body(&rotate(&mut served, Some("a"), &first), 200);
    let once = stored(&served);
    served.world.run_for(Duration::from_secs(60));
    assert_eq!(body(&rotate(&mut served, Some("a"), &first), 200), answer);
    assert_eq!(stored(&served), once);
    let second = request("the-second-of-the-secrets-2");
    body(&rotate(&mut served, Some("a"), &second), 422);
    body(&rotate(&mut served, Some("b"), &second), 200);
    body(&rotate(&mut served, Some("a"), &first), 409);
    // The tenant's own rotation and that of another surface leave it as it is.
    let bearer = format!("Bearer {}", served.key());
    let usual = served.post(
        "/v1/webhooks/secret/rotate",
        &[("authorization", &bearer)],
        &json!({"overlap_hours": 0}),
    );
    let usual = body(&usual, 200)["secret"].as_str().unwrap().to_owned();
    served.world.tenant.secret = Secret::parse(&usual).unwrap();
    let other = json!({"surface": "fullenrich", "secret": "another-of-the-secrets-03"});
    body(&rotate(&mut served, None, &other), 200);
    body(&rotate(&mut served, Some("b"), &second), 200);
    served.world.run_for(2 * HOUR);
    let sent = event(&mut served, "apione");
    assert!(accepts("apione", "the-second-of-the-secrets-2", &sent));
}
