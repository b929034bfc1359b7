//! The state machine of deliveries: one function says which state follows which.

use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An attempt is planned or under way.
    Pending,
    /// The receiver accepted an attempt.
    Delivered,
    /// No attempt is left, or none would be of use; `reason` says which.
    Exhausted,
}

/// The events of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// The receiver accepts an attempt.
    Deliver,
    /// An attempt fails, and another is planned.
    Retry,
    /// The last attempt fails, or no attempt would be of use.
    Exhaust,
    /// Its tenant asks for it again: a new round of attempts.
    Replay,
}

/// Returns the state that a delivery takes on an event, or `None` where the event changes nothing.
///
/// Use cases decide by it what to write, and the simulation checks every write against it.
pub fn next_state(state: DeliveryState, event: DeliveryEvent) -> Option<DeliveryState> {
    use DeliveryState::{Delivered, Exhausted, Pending};
    match (event, state) {
        (DeliveryEvent::Deliver, Pending) => Some(Delivered),
        (DeliveryEvent::Exhaust, Pending) => Some(Exhausted),
        (DeliveryEvent::Retry, Pending) | (DeliveryEvent::Replay, _) => Some(Pending),
        _ => None,
    }
}

impl DeliveryState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Exhausted];

    /// The state of a delivery that has just been made.
    pub const FIRST: Self = Self::Pending;

    /// Returns the word for the state, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
        }
    }

    /// Reads what [`Self::as_str`] writes; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl DeliveryEvent {
    /// Every event, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Deliver, Self::Retry, Self::Exhaust, Self::Replay];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_is_stored() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::parse(state.as_str()), Some(state));
        }
        assert_eq!(DeliveryState::parse("gone"), None);
    }

    #[test]
    fn only_a_replay_begins_again_what_is_over() {
        for over in [DeliveryState::Delivered, DeliveryState::Exhausted] {
            for event in DeliveryEvent::ALL {
                let replayed = event == DeliveryEvent::Replay;
                let expected = replayed.then_some(DeliveryState::Pending);
                assert_eq!(next_state(over, event), expected, "{event:?} of {over:?}");
            }
        }
    }
}
