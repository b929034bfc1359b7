//! Identifiers that callers see. All sort by time; none of them carries a key of the table but a job's own id.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Crockford's base 32, the alphabet of ULIDs. Source: github.com/ulid/spec.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A job's id: `job_` and a ULID (48 bits of milliseconds, 80 random bits).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        Self(format!("job_{}", ulid(at, random)))
    }

    /// Accepts exactly what [`JobId::new`] makes.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("job_").filter(|u| is_ulid(u)).map(|_| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn ulid(&self) -> &str {
        &self.0[4..]
    }

    /// The event of this job at position `n`; the `webhook-id` of all its attempts.
    pub fn event(&self, n: u32) -> String {
        format!("evt_{}_{n}", self.ulid())
    }

    /// The delivery of this job at position `n`.
    pub fn delivery(&self, n: u32) -> DeliveryId {
        DeliveryId { job: self.clone(), n }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no job id"))
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

/// A delivery's id: `dlv_`, the job's ULID, `_` and a position in the job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    pub job: JobId,
    pub n: u32,
}

impl DeliveryId {
    /// Accepts exactly what [`fmt::Display`] shows.
    pub fn parse(text: &str) -> Option<Self> {
        let (ulid, n) = text.strip_prefix("dlv_")?.split_once('_')?;
        let job = JobId::parse(&format!("job_{ulid}"))?;
        let id = Self { job, n: n.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }

    /// The `webhook-id` of this delivery.
    pub fn event(&self) -> String {
        self.job.event(self.n)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dlv_{}_{}", self.job.ulid(), self.n)
    }
}

/// A tenant's id, chosen by the operator: 1 to 64 of `a-z 0-9 - _`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no tenant id: 1 to 64 of a-z 0-9 - _"))
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

/// A ULID in its text form, 26 characters.
pub fn ulid(at: Timestamp, random: [u8; 10]) -> String {
    let millis = u64::try_from(at.0).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let mut tail = [0; 16];
    tail[6..].copy_from_slice(&random);
    let mut bits = (u128::from(millis) << 80) | u128::from_be_bytes(tail);
    let mut text = [0; 26];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
        bits >>= 5;
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| ALPHABET.contains(&b)) && text.as_bytes()[0] <= b'7'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulid_vector_of_the_spec() {
        // The ULID specification's own example: ulid(1469918176385) is 01ARYZ6S41….
        assert!(ulid(Timestamp(1_469_918_176_385), [0; 10]).starts_with("01ARYZ6S41"));
        assert_eq!(ulid(Timestamp(0), [255; 10]), "0000000000ZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn ids_sort_by_time_and_round_trip() {
        let (early, late) = (JobId::new(Timestamp(1), [255; 10]), JobId::new(Timestamp(2), [0; 10]));
        assert!(early < late);
        assert_eq!(JobId::parse(early.as_str()), Some(early.clone()));
        let delivery = early.delivery(12);
        assert_eq!(DeliveryId::parse(&delivery.to_string()), Some(delivery));
    }

    #[test]
    fn foreign_ids_are_refused() {
        for text in ["", "job_", "job_01", "job_8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "job_01ARZ3NDEKTSV4RRFFQ69G5FAu", "evt_1"]
        {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
        let job = JobId::new(Timestamp(1), [0; 10]);
        for n in ["", "-1", "01", "+1", "1_2"] {
            assert_eq!(DeliveryId::parse(&format!("dlv_{}_{n}", job.ulid())), None, "{n}");
        }
        assert_eq!(TenantId::parse("a#b"), None);
    }
}
