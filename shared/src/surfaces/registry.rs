//! The list of surfaces. Finds the surface and the operation that a request is for.

use super::contract::{Call, Surface};
use super::{apione, fullenrich, native, sixtyfour, springbolt};
use crate::catalog::Catalog;
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
