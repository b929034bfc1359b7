//! Bodies as callers pack them.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use super::http::ApiRequest;
use crate::domain::error::ApiError;

/// Returns what the body unpacks to; `None` where it is not packed. It ends at `limit` bytes,
/// however little they were packed to.
///
/// # Errors
/// [`ApiError::Coding`] for a coding other than gzip, [`ApiError::TooLarge`] past `limit`,
/// [`ApiError::Malformed`] for what is not gzip or breaks off.
pub(super) fn unpacked(request: &ApiRequest, limit: usize) -> Result<Option<Vec<u8>>, ApiError> {
    let codings = request
        .header("content-encoding")
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    let mut codings =
        codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let Some(coding) = codings.next().filter(|_| !request.body.is_empty()) else {
        return Ok(None);
    };
    if codings.next().is_some()
        || !["gzip", "x-gzip"]
            .iter()
            .any(|known| coding.eq_ignore_ascii_case(known))
    {
        let detail =
            "Content-Encoding names a coding that is not read; send the body as it is, or as gzip"
                .to_owned();
        return Err(ApiError::Coding { detail });
    }
    match members(&request.body, limit.saturating_add(1)) {
        Ok(body) if body.len() > limit => Err(too_large(limit)),
        Ok(body) => Ok(Some(body)),
        Err(_) => Err(ApiError::Malformed {
            detail: "the body is not gzip, or breaks off".to_owned(),
        }),
    }
}

/// The first `most` bytes that gzip's members unpack to. Programs that write in blocks put zeros
/// behind a member, and readers pass over them.
fn members(mut packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut member = GzDecoder::new(packed);
        let left = u64::try_from(most - body.len()).unwrap_or(u64::MAX);
        member.by_ref().take(left).read_to_end(&mut body)?;
        packed = member.into_inner();
        let padding = packed.iter().take_while(|byte| **byte == 0).count();
        packed = &packed[padding..];
        if packed.is_empty() || body.len() >= most {
            return Ok(body);
        }
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge {
        detail: format!("the body unpacks to more than {limit} bytes; at most {limit} are taken"),
    }
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
        for coding in [
            "gzip",
            "GZIP",
            " x-gzip ",
            "X-Gzip",
            "identity, gzip",
            "gzip,,identity",
        ] {
            assert_eq!(
                read(coding, &[&one[..], &two].concat()),
                Ok(Some(b"{\"a\":1}".to_vec())),
                "{coding}"
            );
        }
        for coding in ["", "identity", "Identity", " , "] {
            assert_eq!(read(coding, b"{}"), Ok(None), "{coding}");
        }
        for coding in ["gzip", "br"] {
            assert_eq!(read(coding, b""), Ok(None), "nothing is packed");
        }
        assert_eq!(read("gzip", &packed(b"")), Ok(Some(Vec::new())));
        for zeros in [1, 2, 17, 511, 10_240] {
            let zeros = vec![0; zeros];
            for body in [
                [&one[..], &two, &zeros].concat(),
                [&one[..], &zeros, &two, &zeros].concat(),
            ] {
                assert_eq!(read("gzip", &body), Ok(Some(b"{\"a\":1}".to_vec())));
            }
        }
    }

    #[test]
    fn other_codings_are_named_as_such() {
        for coding in [
            "br",
            "deflate",
            "zstd",
            "compress",
            "gzip, gzip",
            "br, gzip",
            "gzip;q=1",
            "*",
        ] {
            assert!(
                matches!(read(coding, b"x"), Err(ApiError::Coding { .. })),
                "{coding}"
            );
        }
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        assert_eq!(
            read("gzip", &packed(&[b'1'; 1000])).map(|body| body.map(|b| b.len())),
            Ok(Some(1000))
        );
        let bomb = packed(&vec![b' '; 50_000_000]);
        let (most, padding) = (packed(&[b'1'; 1000]), vec![0; 9]);
        assert!(
            read(
                "gzip",
                &[&most[..], &padding, &packed(b""), &padding].concat()
            )
            .is_ok()
        );
        let one_more = [&most[..], &padding, &packed(b"1")].concat();
        for body in [
            packed(&[b'1'; 1001]),
            one_more,
            bomb.clone(),
            [packed(b"1"), bomb].concat(),
        ] {
            assert!(matches!(
                read("gzip", &body),
                Err(ApiError::TooLarge { .. })
            ));
        }
    }

    #[test]
    fn a_body_that_is_not_one_whole_gzip_is_refused() {
        let whole = packed(b"{\"records\": []}");
        let mut malformed = whole.clone();
        let last = malformed.len() - 5;
        malformed[last] ^= 1;
        let cuts = (1..whole.len()).map(|end| whole[..end].to_vec());
        let garbage = [
            &b"rest"[..],
            b"\0rest",
            b"\0\0\0\x1f\x8b",
            b"\x1f\0",
            b"\0\0\x01",
        ]
        .map(|rest| [&whole, rest].concat());
        let leading = [b"\0", &whole[..]].concat();
        for body in cuts
            .chain([b"{}".to_vec(), b"\0\0".to_vec(), malformed, leading])
            .chain(garbage)
        {
            assert!(
                matches!(read("gzip", &body), Err(ApiError::Malformed { .. })),
                "{body:?}"
            );
        }
    }
}
