//! Leases: the exclusive right to something until a time.

use super::time::Timestamp;

/// The exclusive right to something until a time. A holder that dies gives nothing back: the right
/// ends with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The proof of its holder.
    pub token: Token,
    /// The end of the right, whether or not it was given back.
    pub until: Timestamp,
}

/// The token that distinguishes a lease from others of the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A random text, stored beside the end.
    Random(String),
    /// The end itself, and nothing is stored beside it. The end has to differ between holders, as a
    /// chunk's does by its jitter, or need not be distinguished.
    Until,
}

impl Lease {
    /// A lease with a token of these random bytes.
    pub fn random(bytes: [u8; 16], until: Timestamp) -> Self {
        Self {
            token: Token::Random(hex::encode(bytes)),
            until,
        }
    }

    /// A lease whose end is its token.
    pub fn ending(until: Timestamp) -> Self {
        Self {
            token: Token::Until,
            until,
        }
    }

    /// Returns whether its holder may still be at work.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_at_its_end() {
        let lease = Lease::ending(Timestamp(10));
        assert!(lease.is_live(Timestamp(9)) && !lease.is_live(Timestamp(10)));
    }
}
