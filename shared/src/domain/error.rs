//! What a caller can have done wrong, apart from how a surface says it.

/// A problem with one place of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// JSON Pointer (RFC 6901) into the request body, or the name of a header or query parameter.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
    /// The surface's own stable word for it, where it has one.
    pub code: Option<&'static str>,
}

impl InputError {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
            code: None,
        }
    }

    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// No key, or one that is not known.
    Unauthorized,
    /// The key lacks the scope.
    Forbidden {
        needs: &'static str,
    },
    /// Not there, or another tenant's: never told apart.
    NotFound {
        what: &'static str,
    },
    MethodNotAllowed {
        allow: Vec<&'static str>,
    },
    /// The body is no JSON of the asked shape.
    Malformed {
        detail: String,
    },
    /// Every place that is wrong, all at once.
    Invalid(Vec<InputError>),
    /// The body or one record is over its limit.
    TooLarge {
        detail: String,
    },
    /// The body is packed in a way that is not read.
    Coding {
        detail: String,
    },
    /// The same `Idempotency-Key` came with another body.
    IdempotencyMismatch,
    NotEnoughCredits {
        needed: u64,
        available: i64,
    },
    /// The results do not fit one response; the native results pages have them.
    ResultsTooLarge {
        /// Path of the first page.
        results_url: String,
    },
    /// The state of the thing does not allow it.
    Conflict {
        detail: String,
    },
    /// Nothing was done, or it is not known; trying again is right.
    Unavailable {
        retry_after_seconds: u32,
    },
    /// A fault of ours; the log has the cause under the request id.
    Internal,
}

impl ApiError {
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![InputError::new(pointer, detail)])
    }
}

/// Escapes a member name for a JSON Pointer. Source: RFC 6901, section 3.
pub fn pointer_escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
