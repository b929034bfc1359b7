//! `batch`: one call for many records.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::error::ConfigError;
use super::reader::{Entry, Table};
use super::request::{BodyTemplate, RequestTemplate};
use super::template::{Part, Template};

/// The settings by which records share a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BatchConfig {
    /// The most records of one call, 2 to 1,000.
    pub max: usize,
    /// The time that the first record waits for others, 1 to 1,000 ms; 20 ms by default.
    pub wait: Duration,
    /// A record's element in the request.
    pub item: BodyTemplate,
    /// The request's body; `{{ items }}` in it is the list of elements.
    pub body: BodyTemplate,
    /// A JSON Pointer to the list of results; the whole response where empty.
    pub results: String,
    /// The way results are matched to records.
    pub matching: Matching,
    /// The way further pages are requested; `None` if there is one page.
    pub next: Option<Next>,
    /// The most calls for one batch, the first included, 1 to 100; 10 by default.
    pub pages: u32,
}

/// The record of each result. Pages continue the order of the elements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Matching {
    /// The results stand in the order of the elements.
    Position,
    /// A result belongs to the record for which both of these are equal.
    Key {
        /// A JSON Pointer (RFC 6901) into one result.
        pointer: String,
        /// The value there, from the record's input; never a text alone.
        key: Template,
    },
}

/// The way the next page is requested.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Next {
    /// A JSON Pointer to it in a response; absent, null or empty on the last page.
    pub pointer: String,
    /// The query parameter that takes it in the same request. Without one, it is the address of the
    /// next page, on the same origin, and a `GET`.
    pub parameter: Option<String>,
}

impl Matching {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        let table = entry.table("{ by = \"/id\", key = \"{{ input.domain }}\" }")?;
        table.only(&["by", "key"])?;
        let by = table.need("by", "\"position\", or a JSON Pointer into a result")?;
        match (by.str()?, table.get("key")) {
            ("position", None) => Ok(Self::Position),
            ("position", Some(key)) => {
                Err(key.error("results that stand in order have no key; remove it"))
            }
            (_, Some(key)) => {
                let key = key.template(&["input"])?;
                if !key.0.iter().any(|part| !matches!(part, Part::Text(_))) {
                    return Err(
                        table.error("the key is the same for every record; name one of its fields")
                    );
                }
                let pointer = by.pointer()?;
                Ok(Self::Key { pointer, key })
            }
            (_, None) => {
                Err(table.error("`key` is missing; say what stands there in a record's own result"))
            }
        }
    }
}

impl Next {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        if !matches!(entry.value, DeValue::Table(_)) {
            return Ok(Self {
                pointer: entry.pointer()?,
                parameter: None,
            });
        }
        let table = entry.table("{ at = \"/cursor\", parameter = \"cursor\" }")?;
        table.only(&["at", "parameter"])?;
        let at = table.need("at", "a JSON Pointer to the next page's cursor")?;
        let pointer = at.pointer()?;
        let parameter = table.need("parameter", "the query parameter that takes the cursor")?;
        Ok(Self {
            pointer,
            parameter: Some(parameter.str()?.to_owned()),
        })
    }
}

impl BatchConfig {
    const EXAMPLE: &'static str = "{ max = 50, items = { domain = \"{{ input.domain }}\" }, \
                                   body = { records = \"{{ items }}\" }, \
                                   results = \"/results\", match = { by = \"position\" } }";

    /// Reads the `batch` table of a provider whose request is `request`.
    pub fn read(entry: &Entry<'_>, request: &RequestTemplate) -> Result<Self, ConfigError> {
        let table = entry.table(Self::EXAMPLE)?;
        table.only(&[
            "max", "wait_ms", "items", "body", "results", "match", "next", "pages",
        ])?;
        Self::check_shared(&table, request)?;
        let max = usize::try_from(table.number("max", 2, 1_000)?.unwrap_or(50)).unwrap_or(50);
        let wait = Duration::from_millis(table.number("wait_ms", 1, 1_000)?.unwrap_or(20));
        let item = table.need(
            "items",
            "a record's element in the request, such as { domain = \"{{ input.domain }}\" }",
        )?;
        let item = BodyTemplate::read(&item, &["input"])?;
        let body_entry = table.need(
            "body",
            "the body of the call, such as { records = \"{{ items }}\" }",
        )?;
        let body = BodyTemplate::read(&body_entry, &["items", "secret"])?;
        let mut named = false;
        body.each_template(&mut |template| named |= template.reads("items"));
        if !named {
            return Err(body_entry.error("the body does not name {{ items }}"));
        }
        let results = table
            .get("results")
            .map_or(Ok(String::new()), |entry| entry.pointer())?;
        let matching = Matching::read(&table.need(
            "match",
            "{ by = \"position\" } or { by = \"/id\", key = \"{{ input.domain }}\" }",
        )?)?;
        let next = table
            .get("next")
            .map(|entry| Next::read(&entry))
            .transpose()?;
        let pages = u32::try_from(table.number("pages", 1, 100)?.unwrap_or(10)).unwrap_or(10);
        Ok(Self {
            max,
            wait,
            item,
            body,
            results,
            matching,
            next,
            pages,
        })
    }

    /// Checks that a request suits many records at once: none of it belongs to a single record.
    fn check_shared(table: &Table<'_>, request: &RequestTemplate) -> Result<(), ConfigError> {
        if request.method == "GET" || request.body.is_some() {
            return Err(table.error(
                "one call for many records is a POST or PUT, whose body stands in `batch`",
            ));
        }
        let (mut shared, mut about_one) = (true, false);
        request.each_template(&mut |template| {
            shared &= template.inputs().next().is_none();
            about_one |= template.reads("callback") || template.reads("request");
        });
        if !shared || about_one {
            return Err(table.error(
                "the URL, query and headers belong to many records: they read secrets only; what \
                 is a record's own stands in `items`",
            ));
        }
        Ok(())
    }

    /// Visits every template: of the body, of an element and of the key.
    pub fn each_template<'a>(&'a self, visit: &mut impl FnMut(&'a Template)) {
        self.body.each_template(visit);
        self.item.each_template(visit);
        if let Matching::Key { key, .. } = &self.matching {
            visit(key);
        }
    }
}
