//! Short texts from outside: ids, cursors, times, `Retry-After`, signature headers, networks,
//! progress.

use std::time::Duration;

use shared::domain::delivery::retry_after;
use shared::domain::ids::{DeliveryId, JobId, TenantId};
use shared::domain::job::Status;
use shared::domain::progress::{ChunkSummary, Progress};
use shared::domain::signature::{Secret, headers, verify};
use shared::domain::time::Timestamp;
use shared::jobs::read::ResultCursor;
use shared::net::Cidr;
use shared::surfaces::SURFACES;
use shared::surfaces::common::read::snake_case;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Returns a text as Crockford's base 32 reads it: in one case, with letters that stand for digits
/// replaced.
fn one_case(text: &str) -> String {
    text.to_ascii_uppercase()
        .replace(['I', 'L'], "1")
        .replace('O', "0")
}

/// Any text, read as each of these. An accepted text is written back unchanged, or has the same
/// meaning.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for surface in SURFACES {
        if let Some(id) = (surface.parse_id)(text) {
            let written = (surface.id)(&id);
            assert_eq!(one_case(&written), one_case(text), "{}", surface.name);
            assert_eq!((surface.parse_id)(&written), Some(id.clone()));
            assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
            assert!(
                id.as_str().len() == 30 && !id.as_str().contains(['#', '\u{0}']),
                "{id}"
            );
            let _ = id.created_at().rfc3339();
        }
    }
    if let Some(id) = DeliveryId::parse(text) {
        assert_eq!(one_case(&id.to_string()), one_case(text));
        assert_eq!(DeliveryId::parse(&id.to_string()), Some(id.clone()));
        assert_eq!(DeliveryId::parse_event(&id.event()), Some(id.clone()));
        let _ = (id.record(), id.event());
    }
    if let Some(cursor) = ResultCursor::parse(text) {
        assert_eq!(cursor.to_string(), text);
    }
    if let Some(tenant) = TenantId::parse(text) {
        assert!(tenant.as_str() == text && !text.contains('#'));
    }
    if let Some(status) = Status::parse(text) {
        assert_eq!(status.as_str(), text);
    }
    if let Some(at) = Timestamp::parse(text) {
        // An offset can lead out of the years that RFC 3339 has.
        let written = at.rfc3339();
        assert!(
            Timestamp::parse(&written) == Some(at) || written.ends_with("ms"),
            "{text} became {written}"
        );
    }
    if let Some(wait) = retry_after(text, NOW) {
        // The latest HTTP date is the end of the year 9999.
        assert!(
            wait <= Duration::from_secs(u32::MAX.into())
                .max(Duration::from_secs(9999 * 366 * 86400)),
            "{text}"
        );
        let _ = NOW.plus(wait).rfc3339();
    }
    if let Ok(net) = text.parse::<Cidr>() {
        assert_eq!(text.parse::<Cidr>(), Ok(net));
    }
    if let Some(secret) = Secret::parse(text) {
        assert_eq!(secret.reveal(), text);
        let signed = headers(&[&secret], "evt_1", NOW, b"{}");
        let (id, at, signature) = (&signed[0].1, &signed[1].1, &signed[2].1);
        assert_eq!(
            verify(&secret, Some(id), Some(at), Some(signature), b"{}", NOW),
            Ok(())
        );
        assert!(!format!("{secret:?}").contains(text));
    }
    if let Some(summary) = ChunkSummary::parse(text) {
        assert_eq!(ChunkSummary::parse(&summary.element()), Some(summary));
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let progress = Progress::of(&lines);
    let _ = (
        progress.counts().total(),
        progress.credits(),
        progress.bytes(),
        progress.public_bytes(),
        progress.chunks(),
    );
    assert!(!snake_case(text).contains(|c: char| c.is_ascii_uppercase()));
    signature(&lines);
}

/// Three lines as the three headers of a webhook: only the genuine ones verify.
fn signature(lines: &[String]) {
    let line = |at: usize| lines.get(at).map(String::as_str);
    let secret = Secret::new(&[7; 32]);
    if verify(&secret, line(0), line(1), line(2), b"{}", NOW) == Ok(()) {
        let (id, at) = (line(0).unwrap_or_default(), line(1).unwrap_or_default());
        let at = Timestamp(at.parse::<i64>().expect("seconds") * 1000);
        let genuine = &headers(&[&secret], id, at, b"{}")[2].1;
        assert!(
            line(2)
                .unwrap_or_default()
                .split(' ')
                .any(|one| one == genuine),
            "{lines:?}"
        );
    }
}
