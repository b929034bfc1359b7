//! Identifiers that callers see. All sort by time; none of them carries a key of the table but a
//! job's own id.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Crockford's base 32, the alphabet of ULIDs. Source: github.com/ulid/spec.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A job's id: `job_` and a ULID (48 bits of milliseconds, 80 random bits, of which six are set so
/// that the same 128 bits are a UUID of version 7 as well). Sources: github.com/ulid/spec; RFC
/// 9562, section 5.7.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Makes the id of a job that is submitted at `at`. Overwrites six of the random bits with the
    /// version and variant of a UUID.
    pub fn new(at: Timestamp, mut random: [u8; 10]) -> Self {
        random[0] = 0x70 | (random[0] & 0x0F);
        random[2] = 0x80 | (random[2] & 0x3F);
        Self(format!("job_{}", ulid(at, random)))
    }

    /// Accepts `job_` and a ULID, as [`JobId::new`] makes them, in any case; the id has the usual
    /// one.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(format!("job_{}", read_ulid(after("job_", text)?)?)))
    }

    /// When the job was submitted.
    pub fn created_at(&self) -> Timestamp {
        Timestamp(i64::from_str_radix(&self.hex()[..12], 16).unwrap_or(0))
    }

    /// The id's 128 bits as 32 hexadecimal digits, in lower case.
    pub fn hex(&self) -> String {
        let place = |c: u8| ALPHABET.iter().position(|a| *a == c).unwrap_or(0) as u128;
        format!(
            "{:032x}",
            self.ulid()
                .bytes()
                .fold(0_u128, |bits, c| (bits << 5) | place(c))
        )
    }

    /// Reads what [`JobId::hex`] writes.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let digits =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = digits.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(format!("job_{}", ulid_of(bits))))
    }

    /// The id as a UUID, in lower case with its four hyphens.
    pub fn uuid(&self) -> String {
        let hex = self.hex();
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    /// Reads a UUID in lower or upper case.
    pub fn parse_uuid(text: &str) -> Option<Self> {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        (lengths == [8, 4, 4, 4, 12])
            .then(|| Self::parse_hex(&text.replace('-', "").to_ascii_lowercase()))?
    }

    /// Returns the native form: `job_` and the ULID in upper case.
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

    /// Returns the id of the delivery of this job's end.
    pub fn end_delivery(&self) -> DeliveryId {
        self.delivery(0)
    }

    /// Returns the id of the delivery of the end of the record at `index`.
    pub fn record_delivery(&self, index: u32) -> DeliveryId {
        self.delivery(index.saturating_add(1))
    }

    /// The delivery of this job at position `n`.
    pub fn delivery(&self, n: u32) -> DeliveryId {
        DeliveryId {
            job: self.clone(),
            n,
        }
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
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a job id"))
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
    /// The job whose event it delivers.
    pub job: JobId,
    /// The position: 0 is the job's end, `n` the record at index `n - 1`.
    pub n: u32,
}

impl DeliveryId {
    /// Accepts what [`fmt::Display`] shows, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of("dlv_", text)
    }

    /// Reads the id of an event, the `webhook-id`: it names the delivery that brings the event.
    pub fn parse_event(text: &str) -> Option<Self> {
        Self::of("evt_", text)
    }

    fn of(prefix: &str, text: &str) -> Option<Self> {
        let (ulid, n) = after(prefix, text)?.split_once('_')?;
        let job = JobId(format!("job_{}", read_ulid(ulid)?));
        let number: u32 = n.parse().ok()?;
        (number.to_string() == n).then_some(Self { job, n: number })
    }

    /// Returns the index of the record whose end it delivers; `None` for the job's end.
    pub fn record(&self) -> Option<u32> {
        self.n.checked_sub(1)
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
    /// Reads an id; `None` where the length or a character is not allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the id as the operator chose it.
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
        Self::parse(&text)
            .ok_or_else(|| format!("{text:?} is not a tenant id: 1 to 64 of a-z 0-9 - _"))
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
    ulid_of((u128::from(millis) << 80) | u128::from_be_bytes(tail))
}

fn ulid_of(mut bits: u128) -> String {
    let mut text = [0; 26];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
        bits >>= 5;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns what follows a prefix that is written in any case.
fn after<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    let (begin, rest) = text.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Reads a ULID in any case, in the form that [`ulid`] writes. In Crockford's base 32, I and L are
/// 1, and O is 0.
fn read_ulid(text: &str) -> Option<String> {
    let digit = |b: u8| match b.to_ascii_uppercase() {
        b'I' | b'L' => Some('1'),
        b'O' => Some('0'),
        b => ALPHABET.contains(&b).then_some(char::from(b)),
    };
    let ulid =
        (text.len() == 26).then(|| text.bytes().map(digit).collect::<Option<String>>())??;
    (ulid.as_bytes()[0] <= b'7').then_some(ulid)
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
        let (early, late) = (
            JobId::new(Timestamp(1), [255; 10]),
            JobId::new(Timestamp(2), [0; 10]),
        );
        assert!(early < late);
        assert_eq!(JobId::parse(early.as_str()), Some(early.clone()));
        let delivery = early.delivery(12);
        assert_eq!(DeliveryId::parse(&delivery.to_string()), Some(delivery));
    }

    #[test]
    fn a_job_id_is_a_uuid_of_version_7() {
        for random in [[0; 10], [255; 10], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] {
            let id = JobId::new(Timestamp(1_700_000_000_123), random);
            let uuid = id.uuid();
            assert_eq!((&uuid[14..15], uuid.len()), ("7", 36), "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
            assert_eq!(
                i64::from_str_radix(&id.hex()[..12], 16),
                Ok(1_700_000_000_123)
            );
            assert_eq!(id.created_at(), Timestamp(1_700_000_000_123));
            assert_eq!(JobId::parse_uuid(&uuid.to_uppercase()), Some(id.clone()));
            assert_eq!(JobId::parse_hex(&id.hex()), Some(id));
        }
        for text in [
            "",
            "018bcfe5-687b-7000-8000-00000000000",
            "018bcfe5687b70008000000000000000",
            "{}",
        ] {
            assert_eq!(JobId::parse_uuid(text), None, "{text}");
        }
        assert_eq!(JobId::parse_hex("+18bcfe5687b70008000000000000000"), None);
    }

    #[test]
    fn ids_are_read_in_any_case_and_written_in_one() {
        let id = JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FA0").unwrap();
        for text in [
            "job_01arz3ndektsv4rrffq69g5fa0",
            "JOB_01ARZ3NDEKTSV4RRFFQ69G5FA0",
            "Job_o1Arz3NdekTsv4rrffq69g5fao",
            "job_OIARZ3NDEKTSV4RRFFQ69G5FAO",
            "job_0larz3ndektsv4rrffq69g5fa0",
        ] {
            assert_eq!(JobId::parse(text), Some(id.clone()), "{text}");
        }
        let delivery = id.delivery(12);
        for text in [
            delivery.to_string(),
            delivery.to_string().to_lowercase(),
            delivery.to_string().to_uppercase(),
        ] {
            assert_eq!(DeliveryId::parse(&text), Some(delivery.clone()), "{text}");
            assert_eq!(DeliveryId::parse_event(&text), None, "{text}");
        }
        for text in [
            delivery.event(),
            delivery.event().to_lowercase(),
            delivery.event().to_uppercase(),
        ] {
            assert_eq!(
                DeliveryId::parse_event(&text),
                Some(delivery.clone()),
                "{text}"
            );
            assert_eq!(DeliveryId::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn foreign_ids_are_refused() {
        for text in [
            "",
            "job_",
            "job_01",
            "job_8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FAu",
            "evt_1",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FA\u{131}",
            "jo\u{e9}_",
            "job-01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
        let job = JobId::new(Timestamp(1), [0; 10]);
        for n in ["", "-1", "01", "+1", "1_2"] {
            assert_eq!(
                DeliveryId::parse(&format!("dlv_{}_{n}", job.ulid())),
                None,
                "{n}"
            );
        }
        assert_eq!(TenantId::parse("a#b"), None);
    }
}
