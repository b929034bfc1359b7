//! `providers.toml`, which an operator writes.

use shared::catalog::Catalog;
use shared::catalog::Config;

/// The whole file. It is refused with a place in it, or says the same after it was stored, as the build does, and
/// everything it offers can be asked about.
pub fn providers_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Config::parse("providers.toml", text) {
        Err(error) => {
            let told = error.to_string();
            assert!(
                told.starts_with("providers.toml") && told.len() <= 4096,
                "{told}"
            );
        }
        Ok(config) => {
            let stored = serde_json::to_string(&config).expect("a configuration is JSON");
            let read: Config = serde_json::from_str(&stored).expect("what was stored can be read");
            assert_eq!(
                serde_json::to_string(&read).expect("a configuration is JSON"),
                stored
            );
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
