//! The fields that are wanted of a model, as a JSON Schema for it and as a judge of its answers.
//!
//! A `struct` maps field names to descriptions, or to `{description, type}` with a type of JSON
//! Schema or Python (`string`/`str`, `integer`/`int`, `number`/`float`, `boolean`/`bool`,
//! `array`/`list`, `list[str]`, `object`/`dict`). A field without a type may be anything.

use serde_json::{Map, Value, json};

use super::super::http::json::is_empty;

/// The most fields of a structure.
const MAX_FIELDS: usize = 100;
/// The longest name of a type, in bytes; each `list[` costs a call and a copy of what is left.
const MAX_TYPE: usize = 64;
/// The longest name of a field, in characters.
const MAX_NAME: usize = 128;
/// The most members or items that a fault lists in a round of repair.
const MAX_FAULTS: usize = 20;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Any,
    Text,
    Whole,
    Number,
    Flag,
    List(Box<Shape>),
    Object,
}

impl Shape {
    fn parse(name: &str) -> Option<Self> {
        if name.len() > MAX_TYPE {
            return None;
        }
        let name = name.trim().to_ascii_lowercase();
        let items = name
            .strip_prefix("list[")
            .or_else(|| name.strip_prefix("array["));
        if let Some(items) = items
            .and_then(|rest| rest.strip_suffix(']'))
            .or_else(|| name.strip_suffix("[]"))
        {
            return match Self::parse(items)? {
                Self::List(_) => None,
                items => Some(Self::List(Box::new(items))),
            };
        }
        Some(match name.as_str() {
            "any" => Self::Any,
            "str" | "string" | "text" => Self::Text,
            "int" | "integer" => Self::Whole,
            "float" | "number" => Self::Number,
            "bool" | "boolean" => Self::Flag,
            "list" | "array" => Self::List(Box::new(Self::Any)),
            "dict" | "object" => Self::Object,
            _ => return None,
        })
    }

    fn name(&self) -> String {
        match self {
            Self::Any => "any".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Whole => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Flag => "boolean".to_owned(),
            Self::List(items) => format!("array of {}", items.name()),
            Self::Object => "object".to_owned(),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => value.is_string(),
            Self::Whole => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::List(items) => value
                .as_array()
                .is_some_and(|list| list.iter().all(|item| items.fits(item))),
            Self::Object => value.is_object(),
        }
    }

    /// Returns the type in JSON Schema, without null.
    fn schema(&self) -> Value {
        match self {
            Self::Any => json!({"anyOf": [
                {"type": "string"}, {"type": "number"}, {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}}
            ]}),
            Self::List(items) => json!({"type": "array", "items": items.schema()}),
            plain => json!({"type": plain.name()}),
        }
    }

    /// Returns whether the schema is complete: `strict` endpoints refuse objects of unknown
    /// members.
    fn is_closed(&self) -> bool {
        match self {
            Self::List(items) => items.is_closed(),
            shape => *shape != Self::Object,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) shape: Shape,
    /// The words of the description, to recognise them in an answer.
    asked: Vec<String>,
}

/// The signs that a value echoes the question: a model may repeat it as it was put, as a template
/// or as a schema. A description may be an example, and then be the answer: `Berlin, Germany`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repeats {
    No,
    /// The description, the field's name, or nothing but types.
    Perhaps,
    Surely,
}

/// Words that make a type of several names: `string or null`, `list of string`.
const JOINTS: [&str; 3] = ["or", "of", "null"];
/// Words that templates put around a description.
const ARTICLES: [&str; 5] = ["the", "a", "an", "your", "insert"];
/// Members of JSON Schema.
const OF_SCHEMA: [&str; 9] = [
    "type",
    "description",
    "anyOf",
    "items",
    "enum",
    "format",
    "title",
    "properties",
    "additionalProperties",
];

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// Returns the words of a text that say more than a type.
fn telling(text: &str) -> Vec<String> {
    words(text)
        .filter(|word| Shape::parse(word).is_none() && !ARTICLES.contains(&word.as_str()))
        .collect()
}

/// Returns whether a text is a placeholder: `...`, `<job title>`.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let inside = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || " _-'’,|/".contains(c))
    };
    inside.is_some_and(plain) || (!text.is_empty() && text.chars().all(|c| ".…".contains(c)))
}

impl Field {
    fn new(name: &str, description: &str, shape: Shape) -> Self {
        let asked = telling(description);
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            shape,
            asked,
        }
    }

    fn repeats(&self, value: &Value) -> Repeats {
        match value {
            Value::String(said) => {
                let said_words: Vec<String> = words(said).collect();
                let is_type = |word: &String| Shape::parse(word).is_some();
                let types = said_words.iter().any(is_type)
                    && said_words
                        .iter()
                        .all(|word| is_type(word) || JOINTS.contains(&word.as_str()));
                if is_placeholder(said) || (types && said_words.iter().any(|word| word == "null")) {
                    return Repeats::Surely;
                }
                let described = !self.asked.is_empty() && telling(said) == self.asked;
                let named = !said_words.is_empty() && words(&self.name).eq(said_words);
                if types || described || named {
                    Repeats::Perhaps
                } else {
                    Repeats::No
                }
            }
            Value::Array(items) => items
                .iter()
                .map(|item| self.repeats(item))
                .min()
                .unwrap_or(Repeats::No),
            Value::Object(members)
                if members
                    .keys()
                    .all(|name| OF_SCHEMA.contains(&name.as_str())) =>
            {
                let said = |name: &str| members.get(name).and_then(Value::as_str);
                let typed = members.contains_key("anyOf")
                    || said("type").is_some_and(|name| Shape::parse(name).is_some());
                let described = said("description").map(|text| telling(text) == self.asked);
                // The texts of a schema are its type, and the description and the name of the
                // field.
                let telling = members.iter().any(|(name, value)| match name.as_str() {
                    "type" | "description" => false,
                    "title" => value
                        .as_str()
                        .is_some_and(|title| !words(title).eq(words(&self.name))),
                    _ => value.is_string(),
                });
                let schema = !telling && described.unwrap_or(typed);
                if schema { Repeats::Surely } else { Repeats::No }
            }
            _ => Repeats::No,
        }
    }
}

/// The fields that are wanted, none twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Structure(pub(super) Vec<Field>);

/// The answer of a model, checked.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    /// The fields that fit and are not null.
    pub(super) fields: Map<String, Value>,
    /// The faults of the others, in words for the model.
    pub(super) faults: Vec<String>,
}

impl Structure {
    /// Reads a `struct`. The error says what is wrong with it.
    pub(super) fn read(wanted: &Map<String, Value>) -> Result<Self, String> {
        if wanted.len() > MAX_FIELDS {
            return Err(format!("`struct` has more than {MAX_FIELDS} fields"));
        }
        let mut fields = Vec::new();
        for (name, value) in wanted {
            if name.is_empty()
                || name.chars().count() > MAX_NAME
                || name.chars().any(char::is_control)
            {
                return Err(format!(
                    "a field's name in `struct` has 1 to {MAX_NAME} characters, none of them a \
                     line break"
                ));
            }
            let text = |member: &str| match value.get(member) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.as_str())),
                Some(_) => Err(format!("`struct`: `{member}` of a field is a text")),
            };
            let (description, shape) = match value {
                Value::String(description) => (description.as_str(), Shape::Any),
                Value::Object(_) => {
                    let shape = text("type")?.map_or(Some(Shape::Any), Shape::parse).ok_or(
                        "`struct`: the type of a field is string, integer, number, boolean, array, \
                         array[string] or object",
                    )?;
                    (text("description")?.unwrap_or_default(), shape)
                }
                _ => {
                    return Err(
                        "`struct`: a field is a description, or {description, type}".to_owned()
                    );
                }
            };
            fields.push(Field::new(name, description, shape));
        }
        Ok(Self(fields))
    }

    /// Adds a field unless there is one of that name.
    pub(super) fn add(&mut self, name: &str, description: &str, shape: Shape) {
        if !self.0.iter().any(|field| field.name == name) {
            self.0.push(Field::new(name, description, shape));
        }
    }

    /// `response_format` of type `json_schema`. Every member is required and may be null, as
    /// `strict` wants it.
    pub(super) fn format(&self) -> Value {
        let mut properties = Map::new();
        for field in &self.0 {
            let schema = json!({
                "description": field.description,
                "anyOf": [field.shape.schema(), {"type": "null"}],
            });
            properties.insert(field.name.clone(), schema);
        }
        let names: Vec<&str> = self.0.iter().map(|field| field.name.as_str()).collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": names,
            "additionalProperties": false,
        });
        let strict = self.0.iter().all(|field| field.shape.is_closed());
        json!({
            "type": "json_schema",
            "json_schema": {"name": "record", "strict": strict, "schema": schema},
        })
    }

    /// Describes the fields, a line each.
    pub(super) fn words(&self) -> String {
        let line = |field: &Field| {
            let description = field
                .description
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            format!(
                "- {} ({}): {description}",
                Value::from(field.name.as_str()),
                field.shape.name()
            )
        };
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns whether an object has any of the fields.
    pub(super) fn has_any(&self, given: &Map<String, Value>) -> bool {
        self.0.iter().any(|field| given.contains_key(&field.name))
    }

    /// Counts the fields of an object that fit, and all of its fields that are wanted.
    pub(super) fn fit(&self, given: &Map<String, Value>) -> (usize, usize) {
        let given = self
            .0
            .iter()
            .filter_map(|field| Some((field, given.get(&field.name)?)));
        given.fold((0, 0), |(fit, all), (field, value)| {
            let fits =
                value.is_null() || (field.shape.fits(value) && field.repeats(value) == Repeats::No);
            (fit + usize::from(fits), all + 1)
        })
    }

    /// Returns whether an object echoes the question: the record, the schema, or fields without any
    /// answer. A single text that may be an answer is one.
    pub(super) fn is_question(
        &self,
        given: &Map<String, Value>,
        record: &Map<String, Value>,
    ) -> bool {
        let wants = |name: &str| self.0.iter().any(|field| field.name == name);
        if given == record && record.keys().any(|name| !wants(name)) {
            return true;
        }
        if given.get("type").is_some_and(|name| name == "object")
            && given.get("properties").is_some_and(Value::is_object)
            && !wants("properties")
        {
            return true;
        }
        let said = self
            .0
            .iter()
            .filter_map(|field| Some((field, given.get(&field.name).filter(|v| !is_empty(v))?)));
        let repeats: Vec<Repeats> = said.map(|(field, value)| field.repeats(value)).collect();
        let all = repeats.iter().all(|repeats| *repeats > Repeats::No);
        all && (repeats.len() > 1 || repeats.contains(&Repeats::Surely))
    }

    /// Takes what fits. Unknown members are dropped, absent ones count as null.
    pub(super) fn judge(&self, mut given: Map<String, Value>) -> Judged {
        let (mut fields, mut faults) = (Map::new(), Vec::new());
        for field in &self.0 {
            match given.remove(&field.name) {
                None | Some(Value::Null) => {}
                Some(value) if field.repeats(&value) == Repeats::Surely => {
                    faults.push(format!(
                        "{} repeats the question",
                        Value::from(field.name.as_str())
                    ));
                }
                Some(value) if field.shape.fits(&value) => {
                    fields.insert(field.name.clone(), value);
                }
                Some(_) => {
                    faults.push(format!(
                        "{} must be {} or null",
                        Value::from(field.name.as_str()),
                        field.shape.name()
                    ));
                }
            }
        }
        faults.truncate(MAX_FAULTS);
        Judged { fields, faults }
    }
}
