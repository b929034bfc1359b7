//! Whole requests, made of texts with values in them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::address::check_url;
use super::error::ConfigError;
use super::reader::{Entry, Table};
use super::template::{Part, Template};

/// A JSON body. A text that is nothing but one `{{ … }}` takes the value with its type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum BodyTemplate {
    /// A text with values in it.
    Text(Template),
    /// Any other value, as it is written.
    Literal(serde_json::Value),
    /// A list.
    Array(Vec<BodyTemplate>),
    /// An object: (name, value), in the file's order.
    Object(Vec<(String, BodyTemplate)>),
}

impl BodyTemplate {
    /// Visits every template of the body.
    pub fn each_template<'a>(&'a self, visit: &mut impl FnMut(&'a Template)) {
        match self {
            Self::Text(template) => visit(template),
            Self::Literal(_) => {}
            Self::Array(items) => items.iter().for_each(|i| i.each_template(visit)),
            Self::Object(members) => members.iter().for_each(|(_, m)| m.each_template(visit)),
        }
    }

    /// Reads a body whose templates may read these roots.
    pub fn read(entry: &Entry<'_>, roots: &[&str]) -> Result<Self, ConfigError> {
        Ok(match entry.value {
            DeValue::String(_) => Self::Text(entry.template(roots)?),
            DeValue::Array(_) => Self::Array(
                entry
                    .array()?
                    .iter()
                    .map(|item| Self::read(item, roots))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(_) => {
                let members = entry.entries()?;
                let members = members
                    .iter()
                    .map(|(name, value)| Ok(((*name).to_owned(), Self::read(value, roots)?)));
                Self::Object(members.collect::<Result<_, ConfigError>>()?)
            }
            _ => Self::Literal(entry.json()?),
        })
    }
}

/// The keys of a request.
pub const REQUEST_KEYS: [&str; 5] = ["method", "url", "query", "headers", "body"];

/// A request, declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestTemplate {
    /// `GET`, `POST` or `PUT`.
    pub method: Cow<'static, str>,
    /// Scheme, host and port are literal.
    pub url: Template,
    /// Added to the URL.
    pub query: Vec<(String, Template)>,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Sent as JSON; `None` for no body.
    pub body: Option<BodyTemplate>,
}

impl RequestTemplate {
    /// Reads the keys of [`REQUEST_KEYS`], whose templates may read these roots.
    pub fn read(table: &Table<'_>, roots: &[&str]) -> Result<Self, ConfigError> {
        let method = match table.get("method") {
            None => "GET",
            Some(entry) => match entry.str()? {
                "GET" => "GET",
                "POST" => "POST",
                "PUT" => "PUT",
                other => {
                    return Err(entry.error(format!(
                        "the method `{other}` is not known; it is GET, POST or PUT"
                    )));
                }
            },
        };
        let url_entry = table.need(
            "url",
            "the address of the API, such as https://api.example.com/v1/{{ input.domain }}",
        )?;
        let url = url_entry.template(roots)?;
        check_url(&url).map_err(|why| url_entry.error(why))?;

        let mut query = Vec::new();
        if let Some(entry) = table.get("query") {
            for (name, value) in entry.entries()? {
                query.push((name.to_owned(), value.template(roots)?));
            }
        }
        let headers = table
            .get("headers")
            .map_or(Ok(Vec::new()), |entry| read_headers(&entry, roots))?;
        let body = match table.get("body") {
            None => None,
            Some(entry) if method == "GET" => {
                return Err(entry.error("a GET has no body; use POST, or `query`"));
            }
            Some(entry) => Some(BodyTemplate::read(&entry, roots)?),
        };
        Ok(Self {
            method: Cow::Borrowed(method),
            url,
            query,
            headers,
            body,
        })
    }

    /// Visits every template: of the URL, query, headers and body.
    pub fn each_template<'a>(&'a self, visit: &mut impl FnMut(&'a Template)) {
        visit(&self.url);
        self.query
            .iter()
            .chain(&self.headers)
            .for_each(|(_, t)| visit(t));
        if let Some(body) = &self.body {
            body.each_template(visit);
        }
    }

    /// Returns whether any template reads this root.
    pub fn reads(&self, root: &str) -> bool {
        let mut reads = false;
        self.each_template(&mut |template| reads |= template.reads(root));
        reads
    }
}

fn read_headers(entry: &Entry<'_>, roots: &[&str]) -> Result<Vec<(String, Template)>, ConfigError> {
    let mut headers: Vec<(String, Template)> = Vec::new();
    for (name, value) in entry.entries()? {
        let lower = name.to_ascii_lowercase();
        check_header_name(&lower).map_err(|why| value.error(why))?;
        if headers.iter().any(|(n, _)| *n == lower) {
            return Err(value.error(format!("the header `{lower}` is there twice; remove one")));
        }
        let template = value.template(roots)?;
        let control = |c: char| c.is_control() && c != '\t';
        if template
            .0
            .iter()
            .any(|p| matches!(p, Part::Text(t) if t.contains(control)))
        {
            return Err(value.error("a header value has no line breaks or control characters"));
        }
        headers.push((lower, template));
    }
    Ok(headers)
}

fn check_header_name(lower: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if lower.is_empty() || !lower.chars().all(token) {
        return Err(format!("`{lower}` is not the name of a header"));
    }
    // The sender's own business; letting a file set them would desynchronise the message.
    if matches!(
        lower,
        "host"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "te"
            | "upgrade"
            | "trailer"
    ) {
        return Err(format!(
            "the header `{lower}` is set by the sender; remove it"
        ));
    }
    Ok(())
}
