//! The body of an answer: its type and its content codings.

use std::io::Read;

use encoding_rs::Encoding;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::miss::Miss;
use crate::domain::record::FailureCode;
use crate::ports::HttpAnswer;

/// The most of a page that is read, in bytes after decompression.
pub(super) const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// The most content codings on top of each other.
const MAX_CODINGS: usize = 3;

/// Returns every value of a header, joined as lists are.
pub(super) fn every(answer: &HttpAnswer, name: &str) -> Option<String> {
    let values: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(n, _)| n == name)
        .map(|(_, value)| value.as_str())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Returns the media type in a header: of several the last one, as browsers do (WHATWG Fetch,
/// "extract a MIME type").
pub(super) fn media_type(content_type: &str) -> &str {
    let values = content_type
        .rsplit(',')
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    { values }
        .find(|value| value.contains('/') && *value != "*/*")
        .unwrap_or_default()
}

/// Removes the content codings that the sender left on an answer (RFC 9110, section 8.4.1): names
/// in any case, `x-gzip`, several. Other words that some servers send, a charset or `none`, are not
/// codings.
pub(super) fn unpacked(mut answer: HttpAnswer) -> Result<HttpAnswer, Miss> {
    let said = every(&answer, "content-encoding")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_coding = |coding: &&str| {
        !matches!(*coding, "" | "identity" | "none")
            && Encoding::for_label(coding.as_bytes()).is_none()
    };
    let codings: Vec<&str> = said.split(',').map(str::trim).filter(is_coding).collect();
    if answer.body.is_empty() {
        return Ok(answer);
    }
    for (at, coding) in codings.iter().rev().enumerate() {
        let body = answer.body.as_slice();
        let unpacked = match *coding {
            _ if at >= MAX_CODINGS => None,
            "gzip" | "x-gzip" => inflated(MultiGzDecoder::new(body), answer.truncated),
            // Some servers omit the zlib format.
            "deflate" => inflated(ZlibDecoder::new(body), answer.truncated)
                .or_else(|| inflated(DeflateDecoder::new(body), answer.truncated)),
            _ => None,
        };
        let Some(unpacked) = unpacked else {
            let coding: String = coding.chars().take(40).collect();
            let detail = format!(
                "the site's answer is in a content coding that cannot be undone: {coding:?}"
            );
            return Err(Miss::Failed {
                code: FailureCode::ProviderError,
                detail,
            });
        };
        answer.truncated |= unpacked.len() > MAX_PAGE_BYTES;
        answer.body = unpacked;
        answer.body.truncate(MAX_PAGE_BYTES);
    }
    Ok(answer)
}

/// Returns the output of a decoder, a little more than a page at most; of a truncated body, what
/// there is.
fn inflated(decoder: impl Read, cut: bool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let read = decoder
        .take(MAX_PAGE_BYTES as u64 + 1)
        .read_to_end(&mut body);
    (read.is_ok() || (cut && !body.is_empty())).then_some(body)
}

/// Drops the last line of a truncated text: half a line could forbid more than the whole.
pub(super) fn robots_text(answer: &HttpAnswer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    match text.rfind(['\n', '\r']) {
        Some(end) if answer.truncated => text[..end].to_owned(),
        _ => text.into_owned(),
    }
}
