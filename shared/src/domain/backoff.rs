//! Waiting before another try.

use std::time::Duration;

/// The native retry schedule. Source: the API description; it spans 75.6 hours like the Standard
/// Webhooks recommendation.
pub const NATIVE_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// `duration` moved by up to `share` of itself either way; `unit` is random in `0.0..1.0`.
pub fn jittered(duration: Duration, share: f64, unit: f64) -> Duration {
    duration.mul_f64((1.0 + share * (2.0 * unit - 1.0)).max(0.0))
}

/// `base` doubled `times` times, at most `cap`.
pub fn doubled(base: Duration, cap: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(cap)
}

/// Full jitter: random up to `base` doubled `attempt` times, at most `cap`.
pub fn full_jitter(base: Duration, cap: Duration, attempt: u32, unit: f64) -> Duration {
    doubled(base, cap, attempt).mul_f64(unit)
}

/// Equal jitter: half of `duration` for certain, half by chance.
pub fn equal_jitter(duration: Duration, unit: f64) -> Duration {
    duration.mul_f64(0.5 + unit / 2.0)
}

/// Returns how long to wait before try `attempt` of a store call: full jitter over 50 ms doubled
/// each time, at most 2 s.
pub fn store_wait(attempt: u32, unit: f64) -> Duration {
    full_jitter(
        Duration::from_millis(50),
        Duration::from_secs(2),
        attempt,
        unit,
    )
}

/// Returns how long a failed queue message waits before it is tried again: 1 to 30 s.
pub fn message_delay(receives: u32, unit: f64) -> Duration {
    full_jitter(
        Duration::from_secs(2),
        Duration::from_secs(30),
        receives,
        unit,
    )
    .max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_share() {
        let base = Duration::from_secs(100);
        assert_eq!(jittered(base, 0.2, 0.0), Duration::from_secs(80));
        assert_eq!(jittered(base, 0.2, 0.5), base);
        assert!(jittered(base, 0.2, 0.999) < Duration::from_secs(120));
        assert_eq!(jittered(base, 0.0, 0.9), base);
    }

    #[test]
    fn doubling_ends_at_the_cap_and_never_overflows() {
        let (base, cap) = (Duration::from_secs(10), Duration::from_secs(35));
        let waits = [0, 1, 2, 31, 32, u32::MAX].map(|times| doubled(base, cap, times).as_secs());
        assert_eq!(waits, [10, 20, 35, 35, 35, 35]);
    }

    #[test]
    fn message_delays_lie_between_one_and_thirty_seconds() {
        for receives in 0..50 {
            for unit in [0.0, 0.3, 0.999] {
                let delay = message_delay(receives, unit);
                assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(30));
            }
        }
    }

    #[test]
    fn the_native_schedule_spans_75_hours_and_a_half() {
        let hours = NATIVE_DELAYS.iter().sum::<Duration>().as_secs_f64() / 3600.0;
        assert!((hours - 75.58).abs() < 0.01, "{hours}");
    }
}
