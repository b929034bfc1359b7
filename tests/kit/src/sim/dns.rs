//! A name server that says what it was told. Asking changes nothing anywhere, so that its calls are no place for faults.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use shared::ports::{Dns, DnsFailure, DnsKind, DnsRecord};

type Zone = BTreeMap<(String, DnsKind), Result<Vec<DnsRecord>, DnsFailure>>;

/// A name server of which only what [`SimDns::say`] said exists.
#[derive(Debug, Default)]
pub struct SimDns {
    names: Mutex<Zone>,
}

impl SimDns {
    /// What is answered from now on. A name of which another kind is known has none of the kinds that are not.
    ///
    /// # Panics
    /// Where another thread broke while it asked.
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
