//! The simulation's randomness.

use shared::ports::Entropy;
use testkit::sim::SimEntropy;

#[test]
fn gives_the_published_sequence() {
    // Source: the reference output of splitmix64.c for seed 1234567, as Rosetta Code lists it.
    let entropy = SimEntropy::new(1_234_567);
    assert_eq!(entropy.next(), 6_457_827_717_110_365_317);
    assert_eq!(entropy.next(), 3_203_168_211_198_807_973);
}

#[test]
fn units_lie_between_zero_and_one() {
    let entropy = SimEntropy::new(1);
    assert!((0..1000).all(|_| (0.0..1.0).contains(&entropy.unit())));
}
