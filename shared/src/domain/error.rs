//! Errors of callers, apart from how a surface says it.

/// A problem with one place of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// JSON Pointer (RFC 6901) into the request body, or the name of a header or query parameter.
    pub pointer: String,
    /// The fault, and the right form.
    pub detail: String,
    /// The surface's own stable word for it, where it has one.
    pub code: Option<&'static str>,
}

impl InputError {
    /// Makes an error without a surface's own word.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
            code: None,
        }
    }

    /// Adds the surface's own word.
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
        /// The missing scope, by name.
        needs: &'static str,
    },
    /// Not there, or another tenant's: the two look the same.
    NotFound {
        /// The kind of thing that was asked for: `job`, `delivery`.
        what: &'static str,
    },
    /// The path exists and takes other methods (405).
    MethodNotAllowed {
        /// The methods that it takes, for the header `Allow`.
        allow: Vec<&'static str>,
    },
    /// The body is not JSON of the asked shape.
    Malformed {
        /// The place and nature of the fault, for the caller.
        detail: String,
    },
    /// Every place that is wrong, all at once.
    Invalid(Vec<InputError>),
    /// The body or one record is over its limit.
    TooLarge {
        /// The limit and what exceeds it, for the caller.
        detail: String,
    },
    /// The body is packed in a way that is not read.
    Coding {
        /// The coding that was named, and those that are read.
        detail: String,
    },
    /// The same `Idempotency-Key` came with another body.
    IdempotencyMismatch,
    /// The balance does not cover the records, on a surface that refuses such jobs (402).
    NotEnoughCredits {
        /// Credits that the submission would reserve.
        needed: u64,
        /// The tenant's balance. Negative where an operator took back more than there was.
        available: i64,
    },
    /// The results do not fit one response; the native results pages have them.
    ResultsTooLarge {
        /// Path of the first page.
        results_url: String,
    },
    /// The state of the thing does not allow it.
    Conflict {
        /// The state and what would be possible, for the caller.
        detail: String,
    },
    /// Nothing was done, or it is not known; trying again is right.
    Unavailable {
        /// The pause to keep before another try, for the header `Retry-After`.
        retry_after_seconds: u32,
    },
    /// A fault of ours; the log has the cause under the request id.
    Internal,
}

impl ApiError {
    /// Makes an error about one place of the request.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![InputError::new(pointer, detail)])
    }
}

/// Escapes a member name for a JSON Pointer. Source: RFC 6901, section 3.
pub fn pointer_escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
