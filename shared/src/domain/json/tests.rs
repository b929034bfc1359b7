use super::*;

fn again(text: &str) -> String {
    read(text.as_bytes())
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .to_string()
}

#[test]
fn what_was_sent_comes_back_as_it_was_sent() {
    for text in [
        "0",
        "-0",
        "-0.0",
        "1.0",
        "1.10",
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890123456789012345678901234567890",
        "0.12345678901234567890123456789",
        "1e400",
        "1E400",
        "1e+400",
        "-1E-400",
        "1e007",
        "{\"$serde_json::private::Number\":\"1\"}",
        "{\"$serde_json::private::Number\":{\"a\":1}}",
        "{\"$serde_json::private::RawValue\":\"[1,\"}",
        "{\"$serde_json::private::RawValue\":1,\"b\":[{\"$serde_json::private::Number\":\"x\"}]}",
        "[{},[],{\"a\":[]},null,true,false,\"\"]",
        "\"\u{feff}\u{2028}é😀\"",
    ] {
        assert_eq!(again(text), text);
        let value = read(text.as_bytes()).unwrap();
        assert_eq!(
            object([("a", value)]).to_string(),
            format!("{{\"a\":{text}}}")
        );
    }
    assert_eq!(
        again("{\"a\":1,\"b\":2,\"a\":3}"),
        "{\"a\":3,\"b\":2}",
        "the last value at the first one's place"
    );
    assert_eq!(again(" \t\r\n[ 1 , { \"a\" : 2 } ] \n"), "[1,{\"a\":2}]");
}

#[test]
fn a_byte_order_mark_is_passed_over_once_and_in_front_alone() {
    assert_eq!(again("\u{feff}{\"a\":1}"), "{\"a\":1}");
    assert_eq!(again("\u{feff} 1"), "1");
    for text in ["\u{feff}\u{feff}1", " \u{feff}1", "1\u{feff}", "\u{feff}"] {
        assert!(read(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn numbers_that_are_none_are_null_from_upstreams_and_refused_from_clients() {
    for (text, wanted, strict) in [
        ("NaN", "null", false),
        ("-Infinity ", "null", false),
        (
            "[NaN,Infinity , -Infinity,\n-1]",
            "[null,null,null,-1]",
            false,
        ),
        (
            r#"{"a": NaN,"b":-Infinity}"#,
            r#"{"a":null,"b":null}"#,
            false,
        ),
        (
            r#"["NaN", ": NaN,", "\"-Infinity"]"#,
            r#"["NaN",": NaN,","\"-Infinity"]"#,
            true,
        ),
        (r#"{"NaN": "Infinity"}"#, r#"{"NaN":"Infinity"}"#, true),
    ] {
        assert_eq!(
            read_upstream(text.as_bytes()).unwrap().to_string(),
            wanted,
            "{text}"
        );
        let (plain, unchanged) = (read(text.as_bytes()), read_unchanged(text.as_bytes()));
        assert_eq!(
            (plain.is_ok(), unchanged.is_ok()),
            (strict, strict),
            "{text}"
        );
    }
    for text in [
        "NaNa",
        "[NaN1]",
        "nan",
        "-NaN",
        "+Infinity",
        "Inf",
        "- Infinity",
        "{NaN: 1}",
        "-Infinit",
        "N",
        "-",
    ] {
        assert!(read_upstream(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(read_first("NaN, and"), Ok((Value::Null, 3)));
}

#[test]
fn half_a_surrogate_pair_is_the_replacement_character() {
    for (escaped, text) in [
        (r"\ud800", "\u{fffd}"),
        (r"\uDC00x", "\u{fffd}x"),
        (r"\ud83d\ude00", "😀"),
        (r"\uD83D\uDE00\ud83d", "😀\u{fffd}"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\\ud800", "\\ud800"),
        (r"\\\ud800", "\\\u{fffd}"),
        (
            r"\u0000\u001F\b\f\n\r\t\/\\\u00e9",
            "\0\u{1f}\u{8}\u{c}\n\r\t/\\é",
        ),
    ] {
        assert_eq!(
            read(format!("\"{escaped}\"").as_bytes()).unwrap(),
            text,
            "{escaped}"
        );
    }
}

/// `serde_json` is the judge of everything that it reads in the same way.
#[test]
fn a_text_that_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "tru",
        "nul",
        "True",
        "nan",
        "+1",
        "-",
        "01",
        "-01",
        "1.",
        ".1",
        "1e",
        "1e+",
        "1.e1",
        "0x1",
        "1a",
        "1 2",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{,}",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\n\"",
        "\"\u{0}\"",
        "'a'",
        "/* */1",
        "1//",
        "[1}",
        "\u{a0}1",
        "\"\\ud800\\u\"",
        "\"\\ud800\\u12\"",
        "\u{c}1",
    ] {
        assert!(read(text.as_bytes()).is_err(), "{text:?}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
    }
    assert!(read(b"\"\xff\"").is_err());
    assert!(
        read(b"\"\xed\xa0\x80\"").is_err(),
        "a surrogate is not UTF-8"
    );
    let fault = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(fault("{\"a\":\n x}"), "expected value at line 2 column 2");
    assert_eq!(fault("[1"), "the end comes too early at line 1 column 2");
    assert_eq!(fault("é é"), "expected value at line 1 column 1");
}

#[test]
fn it_reads_as_deep_as_serde_json_does() {
    for (depth, fits) in [(127, true), (128, false), (4_000_000, false)] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(read(text.as_bytes()).is_ok(), fits, "{depth}");
            assert_eq!(
                serde_json::from_str::<Value>(&text).is_ok(),
                fits,
                "{depth}"
            );
        }
    }
}

#[test]
fn what_is_stored_of_it_is_read_as_it_was_sent() {
    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Kept {
        #[serde(deserialize_with = "sent")]
        any: Value,
        #[serde(deserialize_with = "sent")]
        members: Map<String, Value>,
        #[serde(default, deserialize_with = "sent")]
        none: Option<Value>,
        #[serde(default, deserialize_with = "sent")]
        absent: Option<Map<String, Value>>,
        sure: f64,
    }
    let text = r#"{"any":1e400,"members":{"$serde_json::private::Number":"1","n":1E2},"none":null,"sure":0.25}"#;
    let kept: Kept = serde_json::from_str(text).unwrap();
    assert_eq!(
        (kept.any.to_string(), &kept.none, &kept.absent),
        ("1e400".to_owned(), &None, &None)
    );
    let again = serde_json::to_string(&kept).unwrap();
    assert!(
        again
            .starts_with(r#"{"any":1e400,"members":{"$serde_json::private::Number":"1","n":1E2},"#),
        "{again}"
    );
    assert_eq!(
        serde_json::from_slice::<Kept>(again.as_bytes()).unwrap(),
        kept
    );
    assert!(
        serde_json::from_str::<Kept>(
            &text
                .replace("{\"$", "[{\"$")
                .replace("},\"none", "}],\"none")
        )
        .is_err()
    );
}

#[test]
fn a_size_is_that_of_the_text() {
    for text in [r#"{"a":["b\"\\ü",1e400,null]}"#, r#""""#, "-0.0", "[]"] {
        let value = read(text.as_bytes()).unwrap();
        assert_eq!(size(&value), value.to_string().len());
        let within = Value::String(text.to_owned()).to_string();
        assert_eq!(escaped_size(text.as_bytes()), within.len() - 2);
    }
}
