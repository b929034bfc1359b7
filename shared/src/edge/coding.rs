//! Bodies as callers pack them.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::http::ApiRequest;
use crate::domain::error::ApiError;

/// What the body unpacks to; `None` where it is not packed. It ends at `limit` bytes, however little they were packed to.
///
/// # Errors
/// [`ApiError::Coding`] for a coding other than gzip, [`ApiError::TooLarge`] past `limit`, [`ApiError::Malformed`] for
/// what is no gzip or breaks off.
pub(super) fn unpacked(request: &ApiRequest, limit: usize) -> Result<Option<Vec<u8>>, ApiError> {
    let codings = request.header("content-encoding").unwrap_or_default().split(',').map(str::trim);
    let mut codings = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let Some(coding) = codings.next().filter(|_| !request.body.is_empty()) else { return Ok(None) };
    if codings.next().is_some() || !["gzip", "x-gzip"].iter().any(|known| coding.eq_ignore_ascii_case(known)) {
        let detail = "Content-Encoding names a coding that is not read; send the body as it is, or as gzip".to_owned();
        return Err(ApiError::Coding { detail });
    }
    let mut body = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match MultiGzDecoder::new(&*request.body).take(most).read_to_end(&mut body) {
        Ok(_) if body.len() > limit => Err(too_large(limit)),
        Ok(_) => Ok(Some(body)),
        Err(_) => Err(ApiError::Malformed { detail: "the body is not gzip, or breaks off".to_owned() }),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge { detail: format!("the body unpacks to more than {limit} bytes; at most {limit} are taken") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(coding: &str, body: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
        let request = ApiRequest {
            method: "POST".to_owned(),
            path: "/v1/jobs".to_owned(),
            query: Vec::new(),
            headers: vec![("content-encoding".to_owned(), coding.to_owned())],
            body: body.to_vec(),
            request_id: "r".to_owned(),
        };
        unpacked(&request, 1000)
    }

    #[test]
    fn gzip_is_read_in_all_its_forms() {
        let (one, two) = (packed(b"{\"a\":"), packed(b"1}"));
        for coding in ["gzip", "GZIP", " x-gzip ", "X-Gzip", "identity, gzip", "gzip,,identity"] {
            assert_eq!(read(coding, &[&one[..], &two].concat()), Ok(Some(b"{\"a\":1}".to_vec())), "{coding}");
        }
        for coding in ["", "identity", "Identity", " , "] {
            assert_eq!(read(coding, b"{}"), Ok(None), "{coding}");
        }
        for coding in ["gzip", "br"] {
            assert_eq!(read(coding, b""), Ok(None), "nothing is packed");
        }
        assert_eq!(read("gzip", &packed(b"")), Ok(Some(Vec::new())));
    }

    #[test]
    fn other_codings_are_named_as_such() {
        for coding in ["br", "deflate", "zstd", "compress", "gzip, gzip", "br, gzip", "gzip;q=1", "*"] {
            assert!(matches!(read(coding, b"x"), Err(ApiError::Coding { .. })), "{coding}");
        }
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        assert_eq!(read("gzip", &packed(&[b'1'; 1000])).map(|body| body.map(|b| b.len())), Ok(Some(1000)));
        let bomb = packed(&vec![b' '; 50_000_000]);
        for body in [packed(&[b'1'; 1001]), bomb.clone(), [packed(b"1"), bomb].concat()] {
            assert!(matches!(read("gzip", &body), Err(ApiError::TooLarge { .. })));
        }
    }

    #[test]
    fn what_is_no_whole_gzip_is_refused() {
        let whole = packed(b"{\"records\": []}");
        let mut bent = whole.clone();
        let last = bent.len() - 5;
        bent[last] ^= 1;
        let cuts = (1..whole.len()).map(|end| whole[..end].to_vec());
        for body in cuts.chain([b"{}".to_vec(), bent, [&whole[..], b"rest"].concat()]) {
            assert!(matches!(read("gzip", &body), Err(ApiError::Malformed { .. })), "{body:?}");
        }
    }
}
