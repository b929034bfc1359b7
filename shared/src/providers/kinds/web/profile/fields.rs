//! Fields of a profile with their confidence.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::phones;

/// The confidence in a field by its source. JSON-LD is written for machines about the company
/// itself; `OpenGraph` for people who share the page; a title for its readers.
pub(super) mod sure {
    pub(in super::super) const JSON_LD: f64 = 0.95;
    /// JSON-LD of a node that does not name its site.
    pub(in super::super) const JSON_LD_UNNAMED: f64 = 0.85;
    /// JSON-LD, if another node could as well be the one.
    pub(in super::super) const JSON_LD_OF_SEVERAL: f64 = 0.5;
    /// A site's own name in JSON-LD.
    pub(in super::super) const WEB_SITE: f64 = 0.8;
    pub(in super::super) const OPEN_GRAPH: f64 = 0.75;
    /// Links, which the page shows but does not explain.
    pub(in super::super) const LINK: f64 = 0.7;
    pub(in super::super) const META: f64 = 0.65;
    /// The page's text, by its form; or two places of it that agree.
    pub(in super::super) const TEXT: f64 = 0.6;
    pub(in super::super) const TEXT_TWICE: f64 = 0.75;
    /// The picture in the page's frame that leads home or is marked as a logo.
    pub(in super::super) const SHOWN: f64 = 0.65;
    /// A value without any other evidence on the page: a name, a picture that need not be a logo.
    pub(in super::super) const ALONE: f64 = 0.5;
    /// A part of the title that spells the domain.
    pub(in super::super) const TITLE_AND_DOMAIN: f64 = 0.6;
    /// A part with a legal form, or that fits the domain in part.
    pub(in super::super) const TITLE_AND_FORM: f64 = 0.5;
    pub(in super::super) const TITLE_AND_PART: f64 = 0.45;
    /// A name that is only the address again.
    pub(in super::super) const ADDRESS: f64 = 0.4;
    pub(in super::super) const TITLE: f64 = 0.35;
    /// Of what was seen and not said: where the page was.
    pub(in super::super) const SEEN: f64 = 1.0;
}

/// The most phones, e-mail addresses and so on of each sort.
const MAX_VALUES: usize = 10;

/// Fields with their confidence. The first value of a field stays.
#[derive(Debug, Default, PartialEq)]
pub(in super::super) struct Profile {
    pub(in super::super) fields: Map<String, Value>,
    pub(in super::super) sure: BTreeMap<String, f64>,
}

impl Profile {
    pub(super) fn put(&mut self, field: &str, value: Option<Value>, sure: f64) {
        let empty = |v: &Value| {
            v.is_null()
                || v.as_str() == Some("")
                || v.as_array().is_some_and(Vec::is_empty)
                || v.as_object().is_some_and(Map::is_empty)
        };
        if let Some(value) = value.filter(|v| !empty(v) && !self.fields.contains_key(field)) {
            self.fields.insert(field.to_owned(), value);
            self.sure.insert(field.to_owned(), sure);
        }
    }

    /// Adds profiles on networks that have none yet.
    pub(super) fn add_profiles(&mut self, profiles: Map<String, Value>, sure: f64) {
        match self
            .fields
            .get_mut("social_profiles")
            .and_then(Value::as_object_mut)
        {
            Some(known) => profiles.into_iter().for_each(|(network, url)| {
                known.entry(network).or_insert(url);
            }),
            None => self.put("social_profiles", Some(Value::Object(profiles)), sure),
        }
    }

    pub(super) fn put_text(&mut self, field: &str, text: Option<String>, sure: f64) {
        self.put(field, text.map(Value::String), sure);
    }
}

pub(super) fn add_values(profile: &mut Profile, field: &str, values: Vec<String>, sure: f64) {
    profile.put(field, values.first().map(|value| json!([value])), sure);
    let Some(known) = profile.fields.get_mut(field).and_then(Value::as_array_mut) else {
        return;
    };
    for value in values {
        let same = |known: &Value| {
            known.as_str().is_some_and(|known| {
                known == value || (field == "phones" && phones::same(known, &value))
            })
        };
        if known.len() < MAX_VALUES && !known.iter().any(same) {
            known.push(Value::String(value));
        }
    }
}
