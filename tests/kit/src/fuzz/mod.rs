//! Everything that is read from outside, as arbitrary bytes: one function for each kind of input,
//! which panics where a promise about it does not hold. `tests/fuzz` lets libFuzzer search for such
//! bytes. `tests/properties` replays the seed corpus and malforms it by rule. Both run the same
//! functions.

pub mod answers;
pub mod api;
pub mod files;
mod logs;
pub mod messages;
pub mod network;
pub mod settings;
pub mod sites;
pub mod stored;
pub mod texts;
pub mod wire;

use std::path::PathBuf;

pub use logs::{logged, without_secrets};

/// A text that seeds and generated inputs put wherever a person's data would stand. No log line may
/// contain it.
pub const PERSONAL: &str = "pii-7f3a";

/// A kind of input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the corpus's folder and of libFuzzer's binary.
    pub name: &'static str,
    /// Panics where the input is not treated as promised.
    pub run: fn(&[u8]),
}

/// Every kind of input.
pub const TARGETS: [Target; 19] = [
    Target {
        name: "api",
        run: api::request,
    },
    Target {
        name: "gateway",
        run: api::gateway_event,
    },
    Target {
        name: "messages",
        run: messages::batch,
    },
    Target {
        name: "csv",
        run: files::csv,
    },
    Target {
        name: "ndjson",
        run: files::ndjson,
    },
    Target {
        name: "dataset",
        run: files::dataset,
    },
    Target {
        name: "provider_answer",
        run: answers::of_a_provider,
    },
    Target {
        name: "provider_input",
        run: answers::input_of_a_provider,
    },
    Target {
        name: "receiver_answer",
        run: answers::of_a_receiver,
    },
    Target {
        name: "providers_toml",
        run: settings::providers_toml,
    },
    Target {
        name: "url",
        run: network::url,
    },
    Target {
        name: "dns",
        run: network::dns_message,
    },
    Target {
        name: "text",
        run: texts::text,
    },
    Target {
        name: "item",
        run: stored::item,
    },
    Target {
        name: "payload",
        run: stored::payload,
    },
    Target {
        name: "page",
        run: sites::page,
    },
    Target {
        name: "feed",
        run: sites::feed,
    },
    Target {
        name: "phone",
        run: sites::phone,
    },
    Target {
        name: "email",
        run: sites::email,
    },
];

/// The seed corpus of a target: names and bytes, by name.
///
/// # Panics
/// Where the folder cannot be read.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.expect("an entry of the folder");
            let bytes = std::fs::read(entry.path()).expect("a file of the corpus");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    seeds.sort();
    seeds
}
