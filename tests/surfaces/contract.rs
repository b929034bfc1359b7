//! A vendor's API description, stripped to its schemas, with what its documents say beyond them
//! laid over it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};
use testkit::schema::{Fault, Generator, patch};

/// The requests and answers that an API describes.
#[derive(Debug)]
pub(crate) struct Contract {
    document: Value,
}

/// A schema of a [`Contract`].
#[derive(Debug)]
pub(crate) struct Schema<'c> {
    contract: &'c Contract,
    schema: &'c Value,
    validator: Validator,
}

impl Contract {
    /// `overlay` is a JSON Merge Patch of `description`.
    pub(crate) fn new(description: &str, overlay: &str) -> Self {
        let mut document = serde_json::from_str(description).expect("the description is JSON");
        patch(
            &mut document,
            &serde_json::from_str(overlay).expect("the overlay is JSON"),
        );
        Self { document }
    }

    /// Every operation as method in capitals and path.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().expect("paths");
        let methods = paths.iter().flat_map(|(path, item)| {
            item.as_object()
                .into_iter()
                .flatten()
                .map(move |m| (m.0, path))
        });
        methods
            .map(|(method, path)| (method.to_uppercase(), path.clone()))
            .collect()
    }

    /// The schema of an operation's request.
    pub(crate) fn request(&self, method: &str, path: &str) -> Schema<'_> {
        self.content(&self.operation(method, path)["requestBody"])
            .expect("the operation takes a body")
    }

    /// The schema of an operation's answer.
    pub(crate) fn response(&self, method: &str, path: &str, status: u16) -> Option<Schema<'_>> {
        self.content(self.operation(method, path)["responses"].get(status.to_string())?)
    }

    /// One of the schemas that others refer to.
    pub(crate) fn schema(&self, name: &str) -> Schema<'_> {
        self.compile(&self.document["components"]["schemas"][name])
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        &self.document["paths"][path][method.to_lowercase()]
    }

    fn content<'c>(&'c self, body: &'c Value) -> Option<Schema<'c>> {
        Some(
            self.compile(
                body.get("content")?
                    .get("application/json")?
                    .get("schema")?,
            ),
        )
    }

    fn compile<'c>(&'c self, schema: &'c Value) -> Schema<'c> {
        // References point into the description, so that its shared schemas go along.
        let root = json!({"allOf": [schema], "components": self.document["components"]});
        let options = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true);
        let validator = options
            .build(&root)
            .unwrap_or_else(|e| panic!("{schema} is not a schema: {e}"));
        Schema {
            contract: self,
            schema,
            validator,
        }
    }
}

impl Schema<'_> {
    pub(crate) fn allows(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// # Panics
    /// Where the value breaks the schema.
    #[track_caller]
    pub(crate) fn check(&self, value: &Value) {
        let faults: Vec<String> = self
            .validator
            .iter_errors(value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{value}\nbreaks its schema: {faults:#?}");
    }

    /// Makes `count` requests: every third as the schema allows, the others broken in one place, by
    /// one kind of fault after the other. `send` gets the request, the place and the fault. Each
    /// request is checked against the schema first.
    pub(crate) fn each(
        &self,
        seed: u64,
        count: usize,
        mut send: impl FnMut(&Value, Option<(&str, Fault)>),
    ) -> BTreeSet<Fault> {
        let mut generator = Generator::new(&self.contract.document, seed);
        let possible: Vec<Fault> = Fault::ALL
            .into_iter()
            .filter(|fault| generator.broken(self.schema, *fault).is_some())
            .collect();
        let (mut made, mut faults) = (BTreeSet::new(), possible.iter().cycle());
        for n in 0..count {
            let broken = if n % 3 == 0 {
                None
            } else {
                faults
                    .next()
                    .and_then(|f| generator.broken(self.schema, *f))
            };
            match broken {
                None => {
                    let value = generator.valid(self.schema);
                    self.check(&value);
                    send(&value, None);
                }
                Some(broken) => {
                    assert!(
                        !self.allows(&broken.value),
                        "{:?} at {}: {}",
                        broken.fault,
                        broken.pointer,
                        broken.value
                    );
                    made.insert(broken.fault);
                    send(&broken.value, Some((&broken.pointer, broken.fault)));
                }
            }
        }
        made
    }
}

#[test]
fn what_is_generated_is_what_the_validator_says_of_it() {
    use Fault::{
        MissingRequired, NotInEnum, TooFew, TooLong, TooMany, TooShort, Unlike, WrongType,
    };
    let contract = Contract::new(
        include_str!("schemas/sixtyfour.json"),
        include_str!("schemas/sixtyfour.overlay.json"),
    );
    let (mut requests, mut made) = (0, BTreeSet::new());
    for (method, path) in contract
        .operations()
        .into_iter()
        .filter(|(method, _)| method == "POST")
    {
        made.extend(
            contract
                .request(&method, &path)
                .each(1, 60, |_, _| requests += 1),
        );
        let refusal = contract.response(&method, &path, 422).unwrap();
        assert!(
            !refusal.allows(&json!({"detail": [{"msg": "m", "type": "t"}]})),
            "{path}"
        );
    }
    let expected = [
        WrongType,
        MissingRequired,
        NotInEnum,
        TooShort,
        TooLong,
        TooFew,
        TooMany,
        Unlike,
    ];
    assert_eq!((requests, made), (480, BTreeSet::from(expected)));
}
