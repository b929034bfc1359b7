//! Expressions in templates and in the mapping of answers: minijinja's, with the few filters and
//! tests named here.
//!
//! An expression computes one value from what is known: `input.first_name ~ ' ' ~ input.last_name`,
//! `response.data.score / 10`, `input.country | default('DE')`, `'yes' if input.fresh else 'no'`.
//! It has no loops, and statements (`{% … %}`) are refused. A template stays literal text with
//! values between, each encoded for its place.
//!
//! Null counts as absent. An expression over an absent value has no value itself, unless
//! `default(…)`, `is defined` or `a if b else c` says otherwise. A condition without a value does
//! not hold.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value, tests};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value as Json};

/// A valid expression, ready to be compiled when it is first used.
#[derive(Clone, Serialize, Deserialize)]
pub struct Expr {
    /// The expression as it was written.
    pub text: String,
    /// The names that it reads, as `ROOT.NAME.NAME`, in alphabetic order; a root alone where no
    /// name follows.
    pub names: Vec<String>,
    /// It has a value even where nothing that it reads is there.
    pub total: bool,
    #[serde(skip)]
    compiled: Arc<OnceLock<Expression<'static, 'static>>>,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expr")
            .field("text", &self.text)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Expr {
    /// Checks an expression that may read these roots. The error says what is wrong with it.
    pub fn parse(text: &str, roots: &[&str]) -> Result<Self, String> {
        let (text, checker) = (text.trim(), &*CHECKER);
        let compiled = checker.compile_expression(text).map_err(|e| {
            let hint = if assigns(text) {
                "; a comparison is written =="
            } else {
                ""
            };
            format!("`{text}`: {}{hint}", said(&e))
        })?;
        let mut names: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        for name in &names {
            let root = name.split('.').next().unwrap_or_default();
            if !roots.contains(&root) {
                let known = roots
                    .iter()
                    .map(|root| shown(root))
                    .collect::<Vec<_>>()
                    .join(", ");
                let known = if known.is_empty() {
                    "nothing is".to_owned()
                } else {
                    format!("known are {known}")
                };
                return Err(format!("`{name}` is not known here; {known}"));
            }
            if root == "status" && name != root {
                return Err(format!(
                    "`{name}`: `status` is a number, such as in status == 202"
                ));
            }
            let named = ["input", "secret"].contains(&root);
            if named && *name == root {
                return Err(format!("`{text}`: write which {root}, such as {root}.NAME"));
            }
        }
        // Evaluated with nothing there. Names of filters and tests are looked up then.
        let total = match compiled.eval(context(
            roots.iter().map(|root| ((*root).to_owned(), empty())),
        )) {
            Ok(value) => !value.is_undefined(),
            Err(e) if matches!(e.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest) => {
                return Err(format!(
                    "`{text}`: {}; known are the filters {} and the tests {}",
                    said(&e),
                    FILTERS.join(", "),
                    TESTS.join(", ")
                ));
            }
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::UnknownFunction | ErrorKind::UnknownMethod
                ) =>
            {
                return Err(format!(
                    "`{text}`: there are no functions and methods, only filters"
                ));
            }
            Err(_) => false,
        };
        Ok(Self {
            text: text.to_owned(),
            names,
            total,
            compiled: Arc::default(),
        })
    }

    /// Returns the names of one root that it reads.
    pub fn of<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a str> {
        self.names.iter().filter_map(move |name| {
            name.strip_prefix(root)?
                .strip_prefix('.')?
                .split('.')
                .next()
        })
    }

    /// Returns whether it reads anything of this root.
    pub fn reads(&self, root: &str) -> bool {
        self.names
            .iter()
            .any(|name| name.split('.').next() == Some(root))
    }

    /// Evaluates it; `None` where something that it needs is absent. The error is a kind of fault,
    /// without any value.
    pub fn eval(
        &self,
        environment: &'static Environment<'static>,
        known: &Value,
    ) -> Result<Option<Value>, String> {
        let expression = if let Some(expression) = self.compiled.get() {
            expression
        } else {
            let compiled = environment
                .compile_expression_owned(self.text.clone())
                .map_err(|e| kind(&e))?;
            self.compiled.get_or_init(|| compiled)
        };
        match expression.eval(known.clone()) {
            Ok(value) => Ok((!absent(&value)).then_some(value)),
            Err(e) if e.kind() == ErrorKind::UndefinedError => Ok(None),
            // Arithmetic reports an absent operand as a wrong one.
            Err(e)
                if e.kind() == ErrorKind::InvalidOperation
                    && self.names.iter().any(|n| !is_there(known, n)) =>
            {
                Ok(None)
            }
            Err(e) => Err(kind(&e)),
        }
    }
}

/// Returns how a root is written where it is read.
fn shown(root: &str) -> String {
    match root {
        "status" => "status (a number)".to_owned(),
        "request" => "request.key".to_owned(),
        "callback" => "callback.url".to_owned(),
        "later" => "later.id".to_owned(),
        root => format!("{root}.NAME"),
    }
}

/// Checks for a single `=` outside of texts in quotes.
fn assigns(text: &str) -> bool {
    let (mut quote, mut before) = (None, ' ');
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match quote {
            Some(end) => {
                if c == '\\' {
                    characters.next();
                } else if c == end {
                    quote = None;
                }
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '=' && !"=!<>".contains(before) && characters.peek() != Some(&'=') => {
                return true;
            }
            None => {}
        }
        before = c;
    }
    false
}

/// Returns the fault in a few words. Details may quote values.
fn kind(error: &Error) -> String {
    error.kind().to_string()
}

/// Describes the fault of an expression as it is written, where there are no values to quote yet.
fn said(error: &Error) -> String {
    error.detail().map_or_else(
        || kind(error),
        |detail| format!("{}: {detail}", kind(error)),
    )
}

/// The filters of expressions.
const FILTERS: [&str; 14] = [
    "base64", "default", "domain", "first", "int", "join", "last", "length", "lower", "replace",
    "split", "tojson", "trim", "upper",
];
const TESTS: [&str; 6] = [
    "defined",
    "undefined",
    "string",
    "number",
    "mapping",
    "sequence",
];

/// The most instructions of one evaluation. An expression has no loops; this bounds what was not
/// foreseen.
const FUEL: u64 = 20_000;

/// Functions of other modules that filters call.
#[derive(Clone, Copy, Debug)]
pub struct Natives {
    /// Returns the host of a domain name as people write it; `None` where it is none.
    pub domain: fn(&str) -> Option<String>,
    /// Encodes a text by the standard alphabet of RFC 4648, with padding.
    pub base64: fn(&str) -> String,
}

/// For checks alone.
static CHECKER: LazyLock<Environment<'static>> = LazyLock::new(|| {
    environment(Natives {
        domain: |_| None,
        base64: |_| String::new(),
    })
});

/// Makes the environment for [`Expr::eval`].
pub fn environment(natives: Natives) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.add_filter(
        "default",
        |value: Value, other: Value| {
            if absent(&value) { other } else { value }
        },
    );
    add_text_filters(&mut environment, natives);
    add_list_filters(&mut environment);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("string", |value: &Value| value.kind() == ValueKind::String);
    environment.add_test("number", |value: &Value| value.is_number());
    environment.add_test("mapping", |value: &Value| value.kind() == ValueKind::Map);
    environment.add_test("sequence", |value: &Value| value.kind() == ValueKind::Seq);
    environment
}

/// Adds the filters that read a text or a number.
fn add_text_filters(environment: &mut Environment<'static>, natives: Natives) {
    environment.add_filter("domain", move |value: Value| {
        on_text(&value, |text| {
            (natives.domain)(text).map_or(Value::UNDEFINED, Value::from)
        })
    });
    environment.add_filter("base64", move |value: Value| {
        on_text(&value, |text| (natives.base64)(text).into())
    });
    environment.add_filter("lower", |value: Value| {
        on_text(&value, |text| text.to_lowercase().into())
    });
    environment.add_filter("upper", |value: Value| {
        on_text(&value, |text| text.to_uppercase().into())
    });
    environment.add_filter("trim", |value: Value| {
        on_text(&value, |text| text.trim().into())
    });
    environment.add_filter("replace", |value: Value, from: String, to: String| {
        on_text(&value, |text| {
            if from.is_empty() {
                text.into()
            } else {
                text.replace(&from, &to).into()
            }
        })
    });
    environment.add_filter("split", |value: Value, by: String| {
        on_text(&value, |text| {
            text.split(by.as_str())
                .map(Value::from)
                .collect::<Vec<_>>()
                .into()
        })
    });
    environment.add_filter("int", |value: Value| {
        let whole = |text: &str| {
            text.trim()
                .parse::<i64>()
                .map_or(Value::UNDEFINED, Value::from)
        };
        if value.is_integer() {
            Ok(value)
        } else if value.is_number() {
            Ok(value.as_i64().map_or(Value::UNDEFINED, Value::from))
        } else {
            on_text(&value, whole)
        }
    });
}

/// Adds the filters that read a list, and the one that writes JSON.
fn add_list_filters(environment: &mut Environment<'static>) {
    environment.add_filter("length", |value: Value| {
        if absent(&value) {
            return Ok(Value::UNDEFINED);
        }
        value
            .len()
            .map(Value::from)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "this has no length"))
    });
    environment.add_filter("first", |value: Value| {
        if absent(&value) {
            Ok(value)
        } else {
            value.get_item_by_index(0)
        }
    });
    environment.add_filter("last", |value: Value| match value.len() {
        None | Some(0) => Ok(Value::UNDEFINED),
        Some(length) => value.get_item_by_index(length - 1),
    });
    environment.add_filter("join", |value: Value, by: Option<String>| {
        if absent(&value) {
            return Ok(Value::UNDEFINED);
        }
        let texts: Vec<String> = value
            .try_iter()?
            .filter(|v| !absent(v))
            .map(|v| v.to_string())
            .collect();
        Ok(Value::from(texts.join(&by.unwrap_or_default())))
    });
    environment.add_filter("tojson", |value: Value| {
        match to_json(&value, &Written::default()) {
            Some(json) => Ok(Value::from(json.to_string())),
            None => Err(Error::new(ErrorKind::InvalidOperation, "this is not JSON")),
        }
    });
}

fn is_there(known: &Value, path: &str) -> bool {
    let value = path
        .split('.')
        .try_fold(known.clone(), |value, name| value.get_attr(name).ok());
    value.is_some_and(|value| !absent(&value))
}

fn absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// Applies a filter of texts. Numbers and truth values count as the text they are written as; an
/// absent value stays absent.
fn on_text(value: &Value, filter: impl FnOnce(&str) -> Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(Value::UNDEFINED),
        ValueKind::String => Ok(filter(value.as_str().unwrap_or_default())),
        ValueKind::Number | ValueKind::Bool => Ok(filter(&value.to_string())),
        _ => Err(Error::new(
            ErrorKind::InvalidOperation,
            "this filter takes texts",
        )),
    }
}

fn empty() -> Value {
    from_json(&Json::Object(serde_json::Map::new()))
}

/// Joins everything that an expression may read, by root.
pub fn context(roots: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::from_pairs(roots)
}

/// Returns a whole number, if it is written as it is calculated with.
fn whole(number: &Number) -> Option<Value> {
    let signed = number
        .as_i128()
        .filter(|whole| whole.to_string() == number.as_str())
        .map(Value::from);
    signed.or_else(|| number.as_u128().map(Value::from))
}

/// Returns the nearest number that is calculated with; infinite where there is none.
fn float(number: &Number) -> f64 {
    number.as_str().parse().unwrap_or_default()
}

/// The numbers that are calculated with as floats, by their bits, so that an expression that only
/// passes one on keeps its text. `None` where several are written differently.
#[derive(Debug, Default)]
pub struct Written(HashMap<u64, Option<Number>>);

impl Written {
    /// Adds the numbers of a value.
    pub fn add(&mut self, json: &Json) {
        match json {
            Json::Number(number) if whole(number).is_none() => {
                let known = self
                    .0
                    .entry(float(number).to_bits())
                    .or_insert_with(|| Some(number.clone()));
                known.take_if(|known| known != number);
            }
            Json::Array(items) => items.iter().for_each(|item| self.add(item)),
            Json::Object(members) => members.values().for_each(|member| self.add(member)),
            _ => {}
        }
    }

    fn number(&self, number: f64) -> Option<Number> {
        self.0
            .get(&number.to_bits())
            .cloned()
            .flatten()
            .or_else(|| Number::from_f64(number))
    }
}

/// Converts JSON for expressions: null is absent.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::UNDEFINED,
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => whole(number).unwrap_or_else(|| Value::from(float(number))),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(members) => {
            let there = members.iter().filter(|(_, value)| !value.is_null());
            Value::from_pairs(there.map(|(name, value)| (name.clone(), from_json(value))))
        }
    }
}

/// Returns the JSON of a value that was computed from what is `written`; `None` where JSON cannot
/// express it.
pub fn to_json(value: &Value, written: &Written) -> Option<Json> {
    Some(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => {
            let signed = i128::try_from(value.clone())
                .ok()
                .and_then(Number::from_i128);
            signed
                .or_else(|| Number::from_u128(u128::try_from(value.clone()).ok()?))?
                .into()
        }
        ValueKind::Number => written.number(f64::try_from(value.clone()).ok()?)?.into(),
        ValueKind::String => Json::String(value.as_str()?.to_owned()),
        ValueKind::Seq | ValueKind::Iterable => Json::Array(
            value
                .try_iter()
                .ok()?
                .map(|item| to_json(&item, written))
                .collect::<Option<_>>()?,
        ),
        ValueKind::Map => {
            let mut members = serde_json::Map::new();
            for key in value.try_iter().ok()? {
                members.insert(
                    key.to_string(),
                    to_json(&value.get_item(&key).ok()?, written)?,
                );
            }
            Json::Object(members)
        }
        _ => return None,
    })
}
