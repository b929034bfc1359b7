//! The caller's account.

use serde_json::Value;

use crate::api::{Api, Request};
use crate::failure::Failure;
use crate::screen::{plain, plural, print, text, thousands};

/// `millrace account`.
pub(crate) async fn account(api: &Api, as_json: bool) -> Result<(), Failure> {
    let account = api.send(Request::get("/v1/account")).await?.json;
    if as_json {
        print(&account)
    } else {
        print(account_text(&account))
    }
}

fn account_text(account: &Value) -> String {
    // A balance may be below zero, after an operator took credits away.
    let signed = |value: &Value| match value.as_i64() {
        Some(n) if n < 0 => format!("-{}", thousands(n.unsigned_abs())),
        n => thousands(n.unwrap_or(0).unsigned_abs()),
    };
    let mut shown = format!(
        "{}: {} credits free, {} used so far",
        text(account, "tenant"),
        signed(&account["credits"]["balance"]),
        signed(&account["credits"]["used"])
    );
    for kind in account["types"].as_array().into_iter().flatten() {
        let sets = kind["inputs"].as_array().into_iter().flatten().map(|set| {
            let fields = set
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            fields.collect::<Vec<_>>().join(" and ")
        });
        let providers = kind["providers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let providers: Vec<&str> = providers.collect();
        let asked = if providers.is_empty() {
            "no provider".to_owned()
        } else {
            providers.join(", ")
        };
        let usable = if kind["usable"] == false {
            " (not set up)"
        } else {
            ""
        };
        let price = kind["credits_per_record_at_most"].as_u64().unwrap_or(0);
        shown += &format!(
            "\n  {}{usable}: {}\n    needs {}; at most {} a record; asks {}",
            text(kind, "type"),
            text(kind, "description"),
            plain(&sets.collect::<Vec<_>>().join(", or "), 300),
            plural(price, "credit"),
            plain(&asked, 300)
        );
    }
    shown
}
