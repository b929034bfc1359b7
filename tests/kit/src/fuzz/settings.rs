//! `providers.toml`, which an operator writes.

use shared::catalog::Catalog;
use shared::catalog::{Config, compiled};
use shared::providers::kinds::{READERS, settings};

/// The whole file. It is refused with a place in it, or has the same meaning after it was stored as
/// the build stores it. Everything it offers can be requested.
pub fn providers_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Config::parse(READERS, "providers.toml", text) {
        Err(error) => {
            let reported = error.to_string();
            assert!(
                reported.starts_with("providers.toml") && reported.len() <= 4096,
                "{reported}"
            );
        }
        Ok(config) => {
            let compiled = |config: &Config| {
                compiled::compile(READERS, config, text, settings).expect("a configuration is JSON")
            };
            let stored = compiled(&config);
            let read = compiled::read(READERS, stored.as_bytes(), "providers.toml", text)
                .expect("what was stored can be read");
            assert_eq!(compiled(&read), stored);
            let catalog = Catalog::of(&config);
            assert_eq!(catalog.kinds().count(), config.types.len());
            for kind in catalog.kinds() {
                let order: Vec<String> = kind.providers().map(str::to_owned).collect();
                assert!(
                    catalog.kind(kind.name()).is_some() && !kind.inputs().is_empty(),
                    "{}",
                    kind.name()
                );
                assert!(
                    order.is_empty() || kind.price(None) == kind.price(Some(&order)),
                    "{}",
                    kind.name()
                );
                assert!(
                    kind.concurrency() >= 1 && !kind.record_timeout().is_zero(),
                    "{}",
                    kind.name()
                );
            }
        }
    }
}
