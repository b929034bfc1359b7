//! The part that a kind of provider adds to its declaration: building the provider.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use serde_json::Error;
use serde_json::value::RawValue;

use super::contract::Provider;
use crate::catalog::{ConfigError, Environment, Kind, KindConfig, ProviderConfig, Settings};
use crate::ports::HttpAnswer;

/// The context of building a provider, besides its settings.
#[derive(Clone, Copy)]
pub struct BuildContext<'a> {
    /// The whole declaration.
    pub provider: &'a ProviderConfig,
    /// The directory of `providers.toml`, to which the names of files are relative.
    pub dir: &'a Path,
    /// Looks up environment variables, for secrets.
    pub environment: Environment<'a>,
}

impl std::fmt::Debug for BuildContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildContext")
            .field("provider", &self.provider.name)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// A kind of provider: settings that a provider can be built from.
pub trait BuildKind: KindConfig + Clone {
    /// Builds the provider. What is outside of the bundle is read when the first record asks.
    ///
    /// # Errors
    /// A file or an environment variable that is missing or unusable, with its place in
    /// `providers.toml`.
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError>;

    /// Returns an HTTP answer as the limits judge it: upstreams that report a failure within an
    /// answer of status 200 get the status that they mean.
    #[must_use]
    fn judged(answer: HttpAnswer) -> HttpAnswer {
        answer
    }
}

/// A provider that was built, or the reason why it was not.
type Built = Result<Arc<dyn Provider>, ConfigError>;
/// Settings as JSON.
type Written = Result<Box<RawValue>, Error>;

/// Builds the providers of one kind.
#[derive(Debug, Clone, Copy)]
pub struct KindBuilder {
    name: &'static str,
    pub(super) build: fn(&dyn Settings, &BuildContext<'_>) -> Option<Built>,
    pub(super) judged: fn(HttpAnswer) -> HttpAnswer,
    write: fn(&dyn Settings, Places) -> Option<Written>,
}

/// The places in written settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    Kept,
    /// All the same, so that settings do not depend on their place in the file.
    Cleared,
}

impl KindBuilder {
    /// Creates the builder of the kind whose settings are `C`.
    #[must_use]
    pub const fn of<C: BuildKind>() -> Self {
        Self {
            name: C::NAME,
            build: |settings, context| Some(own::<C>(settings)?.build(context)),
            judged: C::judged,
            write: |settings, places| {
                let mut settings = own::<C>(settings)?.clone();
                if places == Places::Cleared {
                    for at in settings.places() {
                        at.file.clear();
                        (at.line, at.column) = (0, 0);
                    }
                }
                Some(serde_json::value::to_raw_value(&settings))
            },
        }
    }

    /// Returns the kind's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

fn own<C: KindConfig>(settings: &dyn Settings) -> Option<&C> {
    let settings: &dyn Any = settings;
    settings.downcast_ref()
}

/// Finds the builder of a kind.
pub(super) fn builder(builders: &[KindBuilder], kind: &Kind) -> Option<KindBuilder> {
    builders.iter().copied().find(|b| b.name == kind.name())
}

/// Writes the settings of a kind as JSON.
///
/// # Errors
/// No builder for this kind, or a value that JSON cannot hold.
pub(super) fn write(builders: &[KindBuilder], kind: &Kind, places: Places) -> Written {
    let written = builder(builders, kind).and_then(|b| (b.write)(kind.settings(), places));
    let unknown = format_args!("there is no kind of provider `{}`", kind.name());
    written.unwrap_or_else(|| Err(serde::ser::Error::custom(unknown)))
}

/// Returns what makes the answers of a provider comparable: its settings as JSON, without their
/// place in the file. It goes into the keys of stored answers and never changes.
pub(super) fn identity(builders: &[KindBuilder], kind: &Kind) -> Vec<u8> {
    let Ok(settings) = write(builders, kind, Places::Cleared) else {
        return Vec::new();
    };
    let name: String = kind.name().split('_').map(capitalised).collect();
    format!("{{\"{name}\":{settings}}}").into_bytes()
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
    first.to_ascii_uppercase() + rest
}

/// Makes a table of [`KindReader`](crate::catalog::KindReader) of kinds, one a line: the module
/// that defines the settings, as seen from the calling file, and their type.
#[macro_export]
macro_rules! kind_readers {
    ($($($module:ident)::+: $settings:ident,)*) => {
        &[$(
            $crate::catalog::KindReader::of::<$($module::)+ $settings>(include_bytes!(
                concat!("." $(, "/", stringify!($module))+, ".rs")
            )),
        )*]
    };
}

/// Makes a table of [`KindBuilder`](crate::providers::KindBuilder) of the same lines.
#[macro_export]
macro_rules! kind_builders {
    ($($($module:ident)::+: $settings:ident,)*) => {
        &[$($crate::providers::KindBuilder::of::<$($module::)+ $settings>(),)*]
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Config;
    use crate::providers::kinds::{BUILDERS, READERS};

    /// The keys of stored answers have it.
    #[test]
    fn the_identity_of_a_provider_is_what_it_was_and_no_place_changes_it() {
        let parse = |before: &str| {
            let text = format!(
                "{before}[types.t]\ninputs = [[\"email\"]]\nwaterfall = [\"h\", \"e\"]\n\
                 [providers.h]\nkind = \"hem\"\n[providers.e]\nkind = \"email_check\"\n\
                 disposable = \"d.txt\"\n"
            );
            let config = Config::parse(READERS, "p.toml", &text).unwrap();
            let identity = |at: usize| identity(BUILDERS, &config.providers[at].kind);
            [0, 1].map(|at| String::from_utf8(identity(at)).unwrap())
        };
        let here = parse("");
        assert_eq!(here, parse("\n\n"));
        assert_eq!(here[0], r#"{"Hem":{"input":"email"}}"#);
        assert_eq!(
            here[1],
            concat!(
                r#"{"EmailCheck":{"input":"email","disposable":["d.txt",{"file":"","line":0,"#,
                r#""column":0}],"free":null,"timeout":{"secs":10,"nanos":0}}}"#
            )
        );
    }
}
