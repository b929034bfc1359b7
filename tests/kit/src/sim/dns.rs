//! A scripted name server. Queries change nothing, so that its calls get no faults.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use shared::ports::{Dns, DnsFailure, DnsKind, DnsRecord};

type Zone = BTreeMap<(String, DnsKind), Result<Vec<DnsRecord>, DnsFailure>>;

/// A name server of which only the answers of [`SimDns::say`] exist.
#[derive(Debug, Default)]
pub struct SimDns {
    names: Mutex<Zone>,
}

impl SimDns {
    /// Sets the answer from now on. A name with an answer of one kind has no records of other
    /// kinds.
    ///
    /// # Panics
    /// Where another thread panicked during a query.
    pub fn say(&self, name: &str, kind: DnsKind, answer: Result<Vec<DnsRecord>, DnsFailure>) {
        self.names
            .lock()
            .unwrap()
            .insert((name.to_ascii_lowercase(), kind), answer);
    }
}

#[async_trait]
impl Dns for SimDns {
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
        let names = self.names.lock().unwrap();
        let name = name.to_ascii_lowercase();
        match names.get(&(name.clone(), kind)) {
            Some(answer) => answer.clone(),
            None if names.keys().any(|(known, _)| *known == name) => Ok(Vec::new()),
            None => Err(DnsFailure::NoSuchName),
        }
    }
}
