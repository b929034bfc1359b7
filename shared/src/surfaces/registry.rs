//! The list of surfaces. Finds the surface and the operation that a request is for, and the
//! settings that an operator names.

use super::contract::{Call, OwnSecretForm, Surface, SurfaceSetting};
use super::{apione, fullenrich, native, sixtyfour, springbolt};
use crate::catalog::Catalog;
use crate::domain::tenant::SettingChange;
use crate::surfaces::common::message::ApiRequest;

/// Every surface. The first answers for paths that belong to none.
pub const SURFACES: &[Surface] = &[
    native::SURFACE,
    apione::SURFACE,
    sixtyfour::SURFACE,
    springbolt::SURFACE,
    fullenrich::SURFACE,
];

/// Returns the surface of that name.
pub fn surface<'a>(surfaces: &'a [Surface], name: &str) -> Option<&'a Surface> {
    surfaces.iter().find(|s| s.name == name)
}

/// Checks the operations that `providers.toml` maps: each must be one of a known surface.
///
/// # Errors
/// The first unknown surface or operation, in words.
pub fn check_operations(surfaces: &[Surface], catalog: &Catalog) -> Result<(), String> {
    for (name, operation) in catalog.operations() {
        let Some(surface) = surface(surfaces, name) else {
            let known: Vec<&str> = surfaces
                .iter()
                .filter(|s| !s.operations.is_empty())
                .map(|s| s.name)
                .collect();
            return Err(format!(
                "[operations.{name}]: there is no such API; there are {}",
                known.join(", ")
            ));
        };
        if !surface.operations.contains(&operation) {
            let known = surface.operations.join(", ");
            return Err(format!(
                "[operations.{name}]: there is no operation `{operation}`; there are {known}"
            ));
        }
    }
    Ok(())
}

/// Reads `SURFACE.SETTING=VALUE`.
///
/// # Errors
/// What is wrong and what exists, in words.
pub fn parse_setting(
    surfaces: &'static [Surface],
    text: &str,
) -> Result<SettingChange<'static>, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "is not of the form SURFACE.SETTING=VALUE; there are {}",
            list_settings(surfaces)
        ));
    };
    let (surface, setting) = find_setting(surfaces, name)?;
    let value = setting
        .value(value)
        .ok_or_else(|| format!("{name} takes {}", setting.values.join(", ")))?;
    Ok(SettingChange {
        surface: surface.name,
        setting: setting.name,
        value: Some(value),
    })
}

/// Reads `SURFACE.SETTING`, whose default is to hold again.
///
/// # Errors
/// What is wrong and what exists, in words.
pub fn parse_unset(
    surfaces: &'static [Surface],
    text: &str,
) -> Result<SettingChange<'static>, String> {
    let (surface, setting) = find_setting(surfaces, text)?;
    Ok(SettingChange {
        surface: surface.name,
        setting: setting.name,
        value: None,
    })
}

fn find_setting<'a>(
    surfaces: &'a [Surface],
    text: &str,
) -> Result<(&'a Surface, &'static SurfaceSetting), String> {
    let found = text.split_once('.').and_then(|(name, setting)| {
        let surface = surface(surfaces, name)?;
        Some((surface, surface.setting(setting)?))
    });
    found.ok_or_else(|| {
        let known = list_settings(surfaces);
        format!("there is no setting of that name; there are {known}")
    })
}

/// Returns every setting that exists, as `SURFACE.SETTING=VALUE|VALUE`.
pub fn list_settings(surfaces: &[Surface]) -> String {
    let all = surfaces.iter().flat_map(|surface| {
        surface.settings.iter().map(|setting| {
            let values = setting.values.join("|");
            format!("{}.{}={values}", surface.name, setting.name)
        })
    });
    all.collect::<Vec<_>>().join(", ")
}

/// Returns the form of a tenant's own webhook secret on the surface of that name.
///
/// # Errors
/// The surfaces that take one, in words.
pub fn own_secret_form(surfaces: &[Surface], name: &str) -> Result<OwnSecretForm, String> {
    surface(surfaces, name)
        .and_then(|surface| surface.own_secret)
        .ok_or_else(|| {
            let takers = surfaces.iter().filter(|s| s.own_secret.is_some());
            let takers: Vec<&str> = takers.map(|surface| surface.name).collect();
            format!("must be one of {}", takers.join(", "))
        })
}

/// The target of a request.
#[derive(Debug)]
pub enum Routed<'s, 'r> {
    /// The path and the method are a surface's.
    To {
        /// The surface that has the route.
        surface: &'s Surface,
        /// The use case to run.
        call: &'s Call,
        /// The segment that stands for the route's braces.
        id: Option<&'r str>,
    },
    /// The path takes other methods.
    Method {
        /// The surface that has the path, for its error.
        surface: &'s Surface,
        /// The methods that the path takes, for the header `Allow`.
        allow: Vec<&'static str>,
    },
    /// No surface has this path.
    Nowhere,
}

/// Returns whether a path is one of these surfaces', with whatever method.
pub fn is_path(surfaces: &[Surface], path: &str) -> bool {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    surfaces
        .iter()
        .flat_map(|surface| surface.routes)
        .any(|route| fits(route.path, &segments).is_some())
}

/// Finds the operation of a request.
pub fn route<'s, 'r>(surfaces: &'s [Surface], request: &'r ApiRequest) -> Routed<'s, 'r> {
    let segments = request.segments();
    let (mut allow, mut owner) = (Vec::new(), None);
    for surface in surfaces {
        for route in surface.routes {
            let Some(id) = fits(route.path, &segments) else {
                continue;
            };
            // Where there is GET there is HEAD (RFC 9110, section 9.1).
            if route.method == request.method || (route.method == "GET" && request.method == "HEAD")
            {
                return Routed::To {
                    surface,
                    call: &route.call,
                    id,
                };
            }
            owner = owner.or(Some(surface));
            allow.push(route.method);
        }
    }
    owner.map_or(Routed::Nowhere, |surface| Routed::Method { surface, allow })
}

/// Returns whether a path fits a route's, and the segment in its braces.
#[expect(
    clippy::option_option,
    reason = "it fits without braces, with them, or not"
)]
fn fits<'r>(path: &str, segments: &[&'r str]) -> Option<Option<&'r str>> {
    let pattern: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut id = None;
    for (pattern, segment) in pattern.iter().zip(segments) {
        if pattern.starts_with('{') && !segment.is_empty() {
            id = id.or(Some(*segment));
        } else if pattern != segment {
            return None;
        }
    }
    (pattern.len() == segments.len()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::native;
    use super::*;

    const TONE: SurfaceSetting = SurfaceSetting {
        name: "tone",
        values: &["low", "high"],
        help: "How it sounds",
    };
    const TONED: &[Surface] = &[
        Surface {
            name: "first",
            settings: &[TONE],
            ..native::SURFACE
        },
        Surface {
            name: "second",
            settings: &[],
            ..native::SURFACE
        },
    ];

    #[test]
    fn settings_are_named_by_surface_and_checked() {
        let change = |value| SettingChange {
            surface: "first",
            setting: "tone",
            value,
        };
        assert_eq!(
            parse_setting(TONED, "first.tone=high"),
            Ok(change(Some("high")))
        );
        assert_eq!(parse_unset(TONED, "first.tone"), Ok(change(None)));
        for (text, said) in [
            ("first.tone", "there are first.tone=low|high"),
            ("first.tone=", "first.tone takes low, high"),
            ("first.tone=HIGH", "first.tone takes low, high"),
            ("first.tune=high", "there are first.tone=low|high"),
            ("second.tone=high", "there are first.tone=low|high"),
            ("third.tone=high", "there are first.tone=low|high"),
            ("tone=high", "there are first.tone=low|high"),
            ("", "there are first.tone=low|high"),
        ] {
            let refused = parse_setting(TONED, text).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
        for text in ["first.tone=high", "first", "second.tone", ""] {
            let refused = parse_unset(TONED, text).unwrap_err();
            assert!(refused.contains("first.tone=low|high"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_surface_goes_by_what_it_knows_of_what_is_stored() {
        let stored = |value: &str| {
            [("tone", value), ("later", "x")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        assert_eq!(TONE.of(&stored("high")), "high");
        assert_eq!(TONE.of(&stored("shrill")), "low");
        assert_eq!(TONE.of(&std::collections::BTreeMap::new()), "low");
        for (value, chosen) in [("high", 1), ("low", 1), ("shrill", 0)] {
            assert_eq!(TONED[0].chosen(&stored(value)).len(), chosen, "{value}");
            assert_eq!(TONED[1].chosen(&stored(value)).len(), 0, "{value}");
        }
    }

    #[test]
    fn every_setting_has_a_default_another_value_and_help() {
        for surface in SURFACES {
            for setting in surface.settings {
                assert!(setting.values.len() > 1 && !setting.help.is_empty());
                let same = |other: &&SurfaceSetting| other.name == setting.name;
                assert_eq!(surface.settings.iter().filter(same).count(), 1);
            }
        }
    }
}
