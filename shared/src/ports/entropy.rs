//! Randomness.

/// Randomness, fit for ids and secrets.
pub trait Entropy: Send + Sync {
    /// Fills the bytes with random ones that cannot be guessed.
    fn fill(&self, bytes: &mut [u8]);

    /// A number in `0.0..1.0`, for jitter.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}
