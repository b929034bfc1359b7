//! Leases: the attributes that hold one, and the conditions and changes that take it and give it
//! back.

use super::item::{get_n, get_s, s};
use crate::domain::lease::{Lease, Token};
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Value};

/// The attributes of an item that hold one lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseSlot {
    /// `None` where the end is the token ([`Token::Until`]).
    token: Option<&'static str>,
    until: &'static str,
}

impl LeaseSlot {
    /// Makes a slot of leases with random tokens.
    pub(super) const fn random(token: &'static str, until: &'static str) -> Self {
        Self {
            token: Some(token),
            until,
        }
    }

    /// Makes a slot of leases whose end is their token.
    pub(super) const fn ending(until: &'static str) -> Self {
        Self { token: None, until }
    }

    /// Reads the lease that an item has, live or over.
    pub(super) fn read(&self, item: &Item) -> Option<Lease> {
        let token = match self.token {
            Some(name) => Token::Random(get_s(item, name)?.to_owned()),
            None => Token::Until,
        };
        let until = Timestamp(get_n(item, self.until)?);
        Some(Lease { token, until })
    }

    /// Returns whether the item has this very lease: a write whose answer was lost has taken it
    /// then.
    pub(super) fn holds(&self, item: &Item, lease: &Lease) -> bool {
        self.read(item).as_ref() == Some(lease)
    }

    /// Requires that no lease was taken, or that the last one was given back.
    pub(super) fn is_absent(&self) -> Condition {
        Condition::Absent(self.token.unwrap_or(self.until))
    }

    /// Requires a lease that was over at this time.
    pub(super) fn is_over(&self, at: Timestamp) -> Condition {
        Condition::AtMost(self.until, at.0)
    }

    /// Requires that the lease can be taken.
    pub(super) fn is_free(&self, now: Timestamp) -> Condition {
        Condition::Any(vec![self.is_absent(), self.is_over(now)])
    }

    /// Requires that the lease can be taken, or was by an earlier try of this very call, whose
    /// answer was lost.
    pub(super) fn is_free_for(&self, lease: &Lease, now: Timestamp) -> Condition {
        Condition::Any(vec![
            self.is_absent(),
            self.is_held_by(lease),
            self.is_over(now),
        ])
    }

    /// Requires that the lease can be taken and was not since the item was read. `None` where the
    /// item has a live one.
    pub(super) fn is_free_as_read(&self, item: &Item, now: Timestamp) -> Option<Condition> {
        match self.read(item) {
            None => Some(self.is_absent()),
            Some(lease) => (!lease.is_live(now)).then(|| self.is_held_by(&lease)),
        }
    }

    /// Requires this very lease, live or over.
    pub(super) fn is_held_by(&self, lease: &Lease) -> Condition {
        match (self.token, &lease.token) {
            (Some(name), Token::Random(token)) => Condition::Equals(name, s(token)),
            _ => Condition::Equals(self.until, Value::N(lease.until.0)),
        }
    }

    /// Takes the lease.
    pub(super) fn take(&self, lease: &Lease) -> Vec<Change> {
        let token = match (self.token, &lease.token) {
            (Some(name), Token::Random(token)) => Some(Change::Set(name, s(token))),
            _ => None,
        };
        let until = Change::Set(self.until, Value::N(lease.until.0));
        token.into_iter().chain([until]).collect()
    }

    /// Gives the lease back.
    pub(super) fn give_back(&self) -> Vec<Change> {
        let names = self.token.into_iter().chain([self.until]);
        names.map(Change::Remove).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::key;
    use super::*;
    use crate::ports::Attributes;

    const SLOTS: [LeaseSlot; 2] = [
        LeaseSlot::random("token", "until"),
        LeaseSlot::ending("until"),
    ];

    fn lease(slot: LeaseSlot, byte: u8, until: i64) -> Lease {
        match slot.token {
            Some(_) => Lease::random([byte; 16], Timestamp(until)),
            None => Lease::ending(Timestamp(until)),
        }
    }

    fn changed(item: &Item, changes: Vec<Change>) -> Item {
        let mut item = item.clone();
        for change in changes {
            match change {
                Change::Set(name, value) => drop(item.attributes.insert(name.to_owned(), value)),
                Change::Remove(name) => drop(item.attributes.remove(name)),
                other => panic!("{other:?}"),
            }
        }
        item
    }

    fn holds(condition: &Condition, item: &Item) -> bool {
        let number = |name: &str| get_n(item, name);
        match condition {
            Condition::Absent(name) => !item.attributes.contains_key(*name),
            Condition::Equals(name, value) => item.attributes.get(*name) == Some(value),
            Condition::AtMost(name, most) => number(name).is_some_and(|n| n <= *most),
            Condition::Any(any) => any.iter().any(|one| holds(one, item)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_is_free_before_it_is_taken_when_it_is_over_and_when_it_was_given_back() {
        let now = Timestamp(100);
        for slot in SLOTS {
            let (mine, other) = (lease(slot, 1, 101), lease(slot, 2, 102));
            let item = Item {
                key: key("p".to_owned(), "s"),
                attributes: Attributes::new(),
            };
            let taken = changed(&item, slot.take(&mine));
            let over = changed(&item, slot.take(&lease(slot, 3, 100)));
            let back = changed(&taken, slot.give_back());
            let free = slot.is_free(now);
            assert_eq!(
                [&item, &taken, &over, &back].map(|item| holds(&free, item)),
                [true, false, true, true]
            );
            assert_eq!(
                [&mine, &other].map(|lease| holds(&slot.is_free_for(lease, now), &taken)),
                [true, false]
            );
            assert_eq!(
                [&mine, &other].map(|lease| holds(&slot.is_held_by(lease), &taken)),
                [true, false]
            );
            assert_eq!(
                [&mine, &other].map(|lease| slot.holds(&taken, lease)),
                [true, false]
            );
            assert_eq!(slot.read(&taken), Some(mine));
            assert_eq!((slot.read(&back), &back), (None, &item));
        }
    }

    #[test]
    fn a_lease_that_another_took_and_left_since_is_not_free_as_read() {
        let now = Timestamp(100);
        for slot in SLOTS {
            let item = Item {
                key: key("p".to_owned(), "s"),
                attributes: Attributes::new(),
            };
            let over = |byte, until| changed(&item, slot.take(&lease(slot, byte, until)));
            let (read, since) = (over(1, 50), over(2, 60));
            let free = slot.is_free_as_read(&read, now).unwrap();
            assert_eq!((holds(&free, &read), holds(&free, &since)), (true, false));
            let free = slot.is_free_as_read(&item, now).unwrap();
            assert_eq!((holds(&free, &item), holds(&free, &read)), (true, false));
            assert_eq!(slot.is_free_as_read(&over(1, 101), now), None);
        }
    }
}
