//! Checks of where a request may go.

use super::template::{Part, Template};

/// Checks a URL template. Its scheme, host and port must be literal: no input chooses where a
/// request goes.
pub(crate) fn check_url(template: &Template) -> Result<(), String> {
    let shape = |part: &Part| {
        if let Part::Text(text) = part {
            text.clone()
        } else {
            "{{}}".to_owned()
        }
    };
    let text: String = template.0.iter().map(shape).collect();
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return Err(
            "the URL begins with https:// (or http:// where the operator allows it), written out"
                .to_owned(),
        );
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains("{{") || authority.contains("}}") {
        return Err(
            "the host of the URL is written out; a template may stand in the path and in query only"
                .to_owned(),
        );
    }
    if authority.contains('@') {
        return Err(
            "the URL holds no user or password; use a header with {{ secret.NAME }}".to_owned(),
        );
    }
    check_host_and_port(authority)?;
    if rest.contains('#') {
        return Err("the URL has no fragment".to_owned());
    }
    check_path(template, rest)
}

fn check_host_and_port(authority: &str) -> Result<(), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_label = |label: &str| !label.is_empty() && label.chars().all(is_name);
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    if !good {
        return Err(format!(
            "`{host}` is not a host name; write it in ASCII (xn--… for other letters)"
        ));
    }
    if port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("the URL's port is a number from 1 to 65535".to_owned());
    }
    Ok(())
}

/// Checks what stands behind the host, `rest` with `{{}}` for each value.
fn check_path(template: &Template, rest: &str) -> Result<(), String> {
    let literal = |part: &Part| {
        if let Part::Text(text) = part {
            Some(text.to_ascii_lowercase())
        } else {
            None
        }
    };
    let literals: Vec<String> = template.0.iter().filter_map(literal).collect();
    if literals
        .iter()
        .any(|t| !t.chars().all(|c| c.is_ascii_graphic()))
    {
        return Err(
            "the URL has no spaces, control or non-ASCII characters; percent-encode them"
                .to_owned(),
        );
    }
    // URL parsers walk up on these, encoded or not, and a value beside one could make one.
    let dots = rest
        .split('?')
        .next()
        .unwrap_or_default()
        .split('/')
        .any(|segment| matches!(segment, "." | ".."));
    if dots || literals.iter().any(|t| t.contains("%2e")) {
        return Err(
            "the URL's path has no `.` or `..` segments and no %2E; write the path that is meant"
                .to_owned(),
        );
    }
    Ok(())
}
