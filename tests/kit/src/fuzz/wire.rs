//! Requests and answers as text, so that a corpus can be read and a fuzzer can change every part of
//! them:
//!
//! ```text
//! POST /v1/jobs?limit=5
//! x-api-key: $KEY
//!
//! {"type": "any"}
//! ```

/// A first line, headers and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// The method and path of a request, the status of an answer.
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Wire {
    /// Reads any bytes: a missing part is empty.
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|two| two == b"\n\n");
        let (head, body) = end.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + 2..]));
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split('\n');
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.trim().to_ascii_lowercase(), value.trim().to_owned())
        });
        Self {
            first,
            headers: headers.collect(),
            body: body.to_vec(),
        }
    }

    /// The text that [`parse`](Self::parse) reads back.
    pub fn render(&self) -> Vec<u8> {
        let mut text = self.first.clone();
        for (name, value) in &self.headers {
            text.extend(["\n", name.as_str(), ": ", value.as_str()]);
        }
        text.push_str("\n\n");
        [text.as_bytes(), &self.body].concat()
    }
}
