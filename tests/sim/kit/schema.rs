//! Requests that are generated from the vendors' schemas.

use serde_json::json;
use testkit::schema::{Fault, Generator, patch};

#[test]
fn the_same_seed_makes_the_same_requests() {
    let document = json!({"type": "object", "properties": {"a": {"type": "string"},
        "b": {"type": "integer"}}});
    let made = |seed| {
        let mut generator = Generator::new(&document, seed);
        (0..50)
            .map(|_| generator.valid(&document))
            .collect::<Vec<_>>()
    };
    assert_eq!(made(7), made(7));
    assert_ne!(made(7), made(8));
}

#[test]
fn a_fault_is_made_only_where_there_can_be_one() {
    let document =
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}});
    let mut generator = Generator::new(&document, 1);
    let missing = generator.broken(&document, Fault::MissingRequired).unwrap();
    assert_eq!(
        (missing.pointer.as_str(), missing.value.get("a")),
        ("/a", None)
    );
    for fault in [
        Fault::NotInEnum,
        Fault::TooLong,
        Fault::TooMany,
        Fault::TooSmall,
        Fault::UnknownMember,
    ] {
        assert!(generator.broken(&document, fault).is_none(), "{fault:?}");
    }
}

#[test]
fn a_merge_patch_adds_replaces_and_removes() {
    // The example of RFC 7396, section 3.
    let mut document = json!({"title": "Goodbye!", "author": {"givenName": "John",
        "familyName": "Doe"},
        "tags": ["example", "sample"], "content": "This will be unchanged"});
    patch(
        &mut document,
        &json!({"title": "Hello!", "phoneNumber": "+01-123-456-7890",
            "author": {"familyName": null},
        "tags": ["example"]}),
    );
    let expected = json!({"title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
        "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"});
    assert_eq!(document, expected);
}
