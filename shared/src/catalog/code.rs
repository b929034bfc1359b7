//! A hash of sources that the compiler computes, to distinguish versions of the code.
//!
//! FNV-1a by words, because a compiler's loops are slow. It guards against accidents, not against
//! attackers: those who can write one file can write the other.

/// The hash of nothing.
pub(super) const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// Returns the hash with a text added: its length and its bytes.
pub(super) const fn added(hash: u64, mut bytes: &[u8]) -> u64 {
    let mut hash = mixed(hash, bytes.len() as u64);
    while let Some((word, rest)) = bytes.split_first_chunk() {
        hash = mixed(hash, u64::from_le_bytes(*word));
        bytes = rest;
    }
    while let Some((byte, rest)) = bytes.split_first() {
        hash = mixed(hash, *byte as u64);
        bytes = rest;
    }
    hash
}

/// Returns the hash with a number added.
pub(super) const fn mixed(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
    hash ^ (hash >> 32)
}
