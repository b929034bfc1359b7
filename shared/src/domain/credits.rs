//! Credits: reserved at submit, charged per found record, settled once.

/// The split of a job's budget: the first `funded` records may run, the rest are `skipped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Records, from the first, that the budget covers.
    pub funded: usize,
    /// Credits set aside until the job settles.
    pub reserved: u64,
}

/// Reserves each record's worst-case price, in index order, until `max_credits` is reached. Nothing
/// needs to be counted at run time, because no record can cost more than was reserved for it.
pub fn reserve(records: usize, price: u32, max_credits: Option<u64>) -> Reservation {
    let affordable = match (max_credits, price) {
        (None, _) | (_, 0) => records,
        (Some(max), price) => usize::try_from(max / u64::from(price))
            .unwrap_or(usize::MAX)
            .min(records),
    };
    Reservation {
        funded: affordable,
        reserved: affordable as u64 * u64::from(price),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_past_the_budget_are_skipped() {
        assert_eq!(
            reserve(10, 3, Some(10)),
            Reservation {
                funded: 3,
                reserved: 9
            }
        );
        assert_eq!(
            reserve(10, 3, None),
            Reservation {
                funded: 10,
                reserved: 30
            }
        );
        assert_eq!(
            reserve(10, 3, Some(0)),
            Reservation {
                funded: 0,
                reserved: 0
            }
        );
        assert_eq!(
            reserve(10, 0, Some(0)),
            Reservation {
                funded: 10,
                reserved: 0
            }
        );
    }
}
