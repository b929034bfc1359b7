//! Parameters and objects of an operator, as they were put there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use shared::ports::{AssetError, Assets, Object, ObjectName};

use super::{Gate, Op};

/// The operator's assets beside the bundle. Every caller may read all of them.
pub struct SimAssets {
    gate: Arc<Gate>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parameters: BTreeMap<String, String>,
    objects: BTreeMap<ObjectName, Vec<u8>>,
}

impl fmt::Debug for SimAssets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimAssets").finish_non_exhaustive()
    }
}

impl SimAssets {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            state: Mutex::default(),
        }
    }

    /// Sets a parameter, or changes it.
    pub fn parameter(&self, name: &str, value: &str) {
        self.state
            .lock()
            .unwrap()
            .parameters
            .insert(name.to_owned(), value.to_owned());
    }

    /// Puts an object, or replaces its content.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        let name = ObjectName {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        self.state
            .lock()
            .unwrap()
            .objects
            .insert(name, bytes.into());
    }
}

#[async_trait]
impl Assets for SimAssets {
    async fn parameter(&self, name: &str) -> Result<String, AssetError> {
        let read = || {
            self.state
                .lock()
                .unwrap()
                .parameters
                .get(name)
                .cloned()
                .ok_or(AssetError::Missing)
        };
        let lost = |_| AssetError::Unavailable("no answer".to_owned());
        self.gate
            .call(Op::Asset, name.to_owned(), lost, |_| read())
            .await
    }

    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError> {
        let read = || {
            let state = self.state.lock().unwrap();
            let bytes = state.objects.get(name).ok_or(AssetError::Missing)?;
            let tag = hex::encode(Sha256::digest(bytes));
            match bytes.len() {
                _ if unless == Some(tag.as_str()) => Ok(None),
                length if length > max_bytes => Err(AssetError::TooLarge(max_bytes)),
                _ => Ok(Some(Object {
                    tag,
                    bytes: bytes.clone(),
                })),
            }
        };
        let lost = |_| AssetError::Unavailable("no answer".to_owned());
        self.gate
            .call(Op::Asset, name.to_string(), lost, |_| read())
            .await
    }
}
