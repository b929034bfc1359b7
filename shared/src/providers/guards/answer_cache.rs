//! Saved answers, so that a question is paid for once.
//!
//! An item is found by its tenant (all tenants if the provider is marked `shared`), its provider,
//! and an HMAC. The HMAC covers the provider's configuration and the input fields on which its
//! answer may depend, in a normal form. Its key is 32 random bytes of this table's own, so that an
//! item's key does not reveal its subject.
//!
//! A run over many records reads a provider's answers for all of them at once, when the first
//! record needs one. It writes the new ones at once when its result is stored. Nothing depends on
//! either: an answer that was not read, or was lost, is requested again. Failures and wrong inputs
//! are never saved. A saved answer costs its tenant as much as a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::catalog::{CacheConfig, ProviderConfig};
use crate::domain::json;
use crate::domain::record::is_blank;
use crate::domain::time::Timestamp;
use crate::ports::{Clock, Entropy, Item, Key, Store, StoreError, within};
use crate::providers::Confidence;
use crate::providers::{Answer, Ports};
use crate::schema::answer::{
    answer_item, answer_key, hmac_key_key, insert_hmac_key, read_answer, read_hmac_key,
};

/// The time that the table has to answer before a provider is asked instead.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// The time that the table has to take the new answers.
const WRITE_LIMIT: Duration = Duration::from_secs(4);

/// The scope of an answer that all tenants share. It is not a name that a tenant can have.
const EVERYBODY: &str = "*";

/// The rules by which questions to a provider are compared and answers are saved.
#[derive(Debug)]
pub struct Rules {
    provider: String,
    config: CacheConfig,
    /// The input fields on which an answer may depend; `None`: all.
    fields: Option<BTreeSet<String>>,
    /// The hash of the configuration: another one may give other answers.
    fingerprint: String,
}

impl Rules {
    /// Returns `None` if the provider's answers are not saved. `settings` is the provider's
    /// configuration, in JSON that does not depend on the rest of the file.
    pub fn of(provider: &ProviderConfig, settings: impl FnOnce() -> Vec<u8>) -> Option<Arc<Self>> {
        let config = provider.limits.cache?;
        let fields = provider.kind.settings().reads().map(BTreeSet::from_iter);
        let fingerprint = hex::encode(Sha256::digest(settings()));
        Some(Arc::new(Self {
            provider: provider.name.clone(),
            config,
            fields,
            fingerprint,
        }))
    }

    /// Returns whether all tenants share the provider's answers.
    pub fn are_for_all(&self) -> bool {
        self.config.shared
    }

    /// Writes a question in a normal form.
    fn question(&self, input: &Map<String, Json>) -> String {
        let read = |field: &String| {
            self.fields
                .as_ref()
                .is_none_or(|fields| fields.contains(field))
        };
        let used = input.iter().filter(|(field, _)| read(field));
        let used: BTreeMap<&String, Json> = used
            .filter_map(|(field, value)| Some((field, comparable(field, value)?)))
            .collect();
        format!(
            "{}\n{}\n{}",
            self.provider,
            self.fingerprint,
            Json::Object(
                used.into_iter()
                    .map(|(field, value)| (field.clone(), value))
                    .collect()
            )
        )
    }

    fn key(&self, tenant: &str, secret: &Secret, input: &Map<String, Json>) -> Key {
        // Keys shorter than a block count as if zeros followed. Source: RFC 2104 section 2.
        let mut block = [0; 64];
        block[..secret.0.len()].copy_from_slice(&secret.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(self.question(input).as_bytes());
        let scope = if self.config.shared {
            EVERYBODY
        } else {
            tenant
        };
        let asked = hex::encode(mac.finalize().into_bytes());
        answer_key(scope, &self.provider, &asked)
    }

    /// Returns the time for which the answer is saved; `None`: not at all.
    fn keeps(&self, answer: &Answer) -> Option<Duration> {
        let time = match answer {
            Answer::Found { .. } => self.config.found,
            Answer::NotFound => self.config.not_found,
            Answer::Invalid(_) | Answer::Failed { .. } | Answer::Later(_) => Duration::ZERO,
        };
        (!time.is_zero()).then_some(time)
    }
}

/// Normalises a value: domains and addresses ignore case, other texts only the spaces around them.
fn comparable(field: &str, value: &Json) -> Option<Json> {
    match value {
        blank if is_blank(blank) => None,
        Json::String(text) => Some(Json::String(match field {
            "domain" => text.trim().trim_end_matches('.').to_lowercase(),
            "email" => text.trim().to_lowercase(),
            _ => text.trim().to_owned(),
        })),
        other => Some(other.clone()),
    }
}

/// A saved answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedAnswer {
    /// RFC 3339, UTC.
    pub fetched_at: String,
    /// `None`: the provider knew nothing.
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Option::is_none"
    )]
    fields: Option<Map<String, Json>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confidence: Option<Confidence>,
}

impl CachedAnswer {
    /// Returns it as the provider gave it: `Found` where it has fields, else `NotFound`.
    pub fn answer(self) -> Answer {
        match self.fields {
            Some(fields) => Answer::Found {
                fields,
                confidence: self.confidence,
            },
            None => Answer::NotFound,
        }
    }

    fn of(answer: &Answer, now: Timestamp) -> Option<Self> {
        let (fields, confidence) = match answer {
            Answer::Found { fields, confidence } => (Some(fields.clone()), confidence.clone()),
            Answer::NotFound => (None, None),
            _ => return None,
        };
        Some(Self {
            fetched_at: now.rfc3339(),
            fields,
            confidence,
        })
    }
}

/// The HMAC's key.
#[derive(Clone, Copy)]
struct Secret([u8; 32]);

/// The HMAC's key, once this process has read it.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Option<Secret>>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    async fn get(&self, store: &dyn Store, entropy: &dyn Entropy) -> Result<Secret, StoreError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = *known() {
            return Ok(secret);
        }
        let key = hmac_key_key();
        let mut secret = read_secret(store.get(&key).await?);
        if secret.is_none() {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            secret = match store.put(insert_hmac_key(&bytes)).await {
                Ok(()) => Some(Secret(bytes)),
                // Another process was first, or this one's answer was lost.
                Err(StoreError::ConditionFailed(_) | StoreError::Unavailable(_)) => {
                    read_secret(store.get(&key).await?)
                }
                Err(error) => return Err(error),
            };
        }
        let secret = secret
            .ok_or_else(|| StoreError::Refused("the cache's key is not 32 bytes".to_owned()))?;
        *known() = Some(secret);
        Ok(secret)
    }
}

fn read_secret(item: Option<Item>) -> Option<Secret> {
    Some(Secret(read_hmac_key(&item?)?.try_into().ok()?))
}

/// The saved answers of one provider for the records of a run; `None` until they are read.
type Prefetched = Arc<futures_util::lock::Mutex<Option<BTreeMap<Key, CachedAnswer>>>>;

/// The saved answers that a run over some records of one tenant may use.
pub struct Cache {
    store: Arc<dyn Store>,
    secrets: Secrets,
    tenant: String,
    inputs: Vec<Map<String, Json>>,
    prefetched_by_provider: Mutex<BTreeMap<String, Prefetched>>,
    fresh: Mutex<BTreeMap<Key, Item>>,
}

impl fmt::Debug for Cache {
    /// Leaves out inputs and answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// Makes a cache for a run over records with these inputs.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Secrets,
        tenant: String,
        inputs: Vec<Map<String, Json>>,
    ) -> Self {
        Self {
            store,
            secrets,
            tenant,
            inputs,
            prefetched_by_provider: Mutex::default(),
            fresh: Mutex::default(),
        }
    }

    fn prefetched(&self, rules: &Rules) -> Prefetched {
        let mut prefetched_by_provider = self
            .prefetched_by_provider
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        prefetched_by_provider
            .entry(rules.provider.clone())
            .or_default()
            .clone()
    }

    /// Returns the saved answer to this question. A provider's first question in a run reads the
    /// answers for all its records.
    pub async fn look_up(
        &self,
        rules: &Rules,
        input: &Map<String, Json>,
        ports: &Ports,
    ) -> Option<CachedAnswer> {
        let prefetched = self.prefetched(rules);
        let mut prefetched = prefetched.lock().await;
        if prefetched.is_none() {
            let read = within(ports.clock.as_ref(), READ_LIMIT, self.read(rules, ports)).await;
            let read =
                read.unwrap_or_else(|| Err(StoreError::Unavailable("not within 2 s".to_owned())));
            *prefetched = Some(read.unwrap_or_else(|error| {
                tracing::warn!(
                    provider = rules.provider,
                    error = %error,
                    "kept answers not read; the provider is asked"
                );
                BTreeMap::new()
            }));
        }
        let secret = (*self
            .secrets
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner))?;
        prefetched
            .as_ref()?
            .get(&rules.key(&self.tenant, &secret, input))
            .cloned()
    }

    async fn read(
        &self,
        rules: &Rules,
        ports: &Ports,
    ) -> Result<BTreeMap<Key, CachedAnswer>, StoreError> {
        let secret = self
            .secrets
            .get(self.store.as_ref(), ports.entropy.as_ref())
            .await?;
        let mut keys: Vec<Key> = self
            .inputs
            .iter()
            .map(|input| rules.key(&self.tenant, &secret, input))
            .collect();
        keys.sort();
        keys.dedup();
        let items = self.store.get_many(&keys).await?;
        let now = ports.clock.now();
        Ok(keys
            .into_iter()
            .zip(items)
            .filter_map(|(key, item)| Some((key, read_answer(&item?, now)?)))
            .collect())
    }

    /// Notes an answer, for [`write`](Self::write) and for the other records of the run.
    pub async fn remember(
        &self,
        rules: &Rules,
        input: &Map<String, Json>,
        answer: &Answer,
        now: Timestamp,
    ) {
        let Some(time) = rules.keeps(answer) else {
            return;
        };
        let Some(secret) = *self
            .secrets
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
        else {
            return;
        };
        let Some(kept) = CachedAnswer::of(answer, now) else {
            return;
        };
        let key = rules.key(&self.tenant, &secret, input);
        let Some(item) = answer_item(key.clone(), &kept, now.plus(time)) else {
            return;
        };
        self.fresh
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), item);
        if let Some(prefetched) = self.prefetched(rules).lock().await.as_mut() {
            prefetched.insert(key, kept);
        }
    }

    /// Writes the noted answers. If they are lost, the providers are asked again.
    pub async fn write(&self, clock: &dyn Clock) {
        let fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner));
        if fresh.is_empty() {
            return;
        }
        let written = self.store.put_all(fresh.into_values().collect());
        let written = within(clock, WRITE_LIMIT, written).await;
        if let Err(error) =
            written.unwrap_or_else(|| Err(StoreError::Unavailable("not within 4 s".to_owned())))
        {
            tracing::warn!(error = %error, "answers not kept; they are asked for again");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Config;
    use crate::domain::record::FailureCode;
    use crate::providers::kind::identity;
    use crate::providers::kinds::{BUILDERS, READERS};
    use crate::providers::testing::input;

    fn rules_of(provider: &ProviderConfig) -> Option<Arc<Rules>> {
        Rules::of(provider, || identity(BUILDERS, &provider.kind))
    }

    fn rules(before: &str, more: &str) -> Arc<Rules> {
        let text = format!(
            "{before}[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"city\", \"email\"]\n\
             waterfall = [\"api\"]\n\
             [providers.api]\nkind = \"http\"\n\
             url = \"https://api.example.com/{{{{ input.domain }}}}\"\n\
             query = {{ city = \"{{{{ input.city }}}}\", mail = \"{{{{ input.email }}}}\" }}\n\
             requires = [\"domain\"]\n\
             fields = {{ name = \"/name\" }}\nheaders = {{ a = \"{{{{ secret.key }}}}\" }}\n\
             secrets = {{ key = {{ env = \"K\" }} }}\n{more}"
        );
        let config =
            Config::parse(READERS, "p.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        rules_of(&config.providers[0]).expect("a cache")
    }

    const SECRET: Secret = Secret([7; 32]);

    #[test]
    fn the_same_question_has_the_same_key_and_another_another() {
        let plain = rules("", "cache = {}");
        let key =
            |rules: &Rules, tenant: &str, asked: Json| rules.key(tenant, &SECRET, &input(asked)).pk;
        let one = key(
            &plain,
            "acme",
            json!({"domain": "example.com", "city": "Bonn"}),
        );
        for same in [
            json!({"city": " Bonn ", "domain": " Example.COM. "}),
            json!({"domain": "example.com", "city": "Bonn", "unused": 1, "email": null}),
            json!({"domain": "example.com", "city": "Bonn", "email": " "}),
        ] {
            assert_eq!(key(&plain, "acme", same.clone()), one, "{same}");
        }
        for other in [
            json!({"domain": "example.com"}),
            json!({"domain": "example.com", "city": "bonn"}),
            json!({"domain": "example.com", "email": "Bonn"}),
        ] {
            assert_ne!(key(&plain, "acme", other.clone()), one, "{other}");
        }
        let asked = || json!({"domain": "example.com", "city": "Bonn"});
        assert_ne!(
            key(&plain, "other", asked()),
            one,
            "each tenant has its own"
        );
        assert!(
            one.starts_with("CACHE#acme#api#") && !one.contains("example"),
            "{one}"
        );
        assert_eq!(
            key(&rules("\n\n", "cache = { found_s = 5 }"), "acme", asked()),
            one,
            "lines and times do not matter"
        );
        assert_ne!(
            key(&rules("", "timeout_s = 3\ncache = {}"), "acme", asked()),
            one,
            "another configuration does"
        );
        let shared = rules("", "cache = { shared = true }");
        assert_eq!(
            key(&shared, "acme", asked()),
            key(&shared, "other", asked())
        );
        assert_ne!(
            plain.key("acme", &Secret([8; 32]), &input(asked())).pk,
            one,
            "another table's key"
        );
    }

    #[test]
    fn a_cached_model_gave_one_records_answer_to_others() {
        let text = "[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"city\", \"struct\"]\n\
                    waterfall = [\"agent\"]\n\
                    [providers.agent]\nkind = \"chat\"\nurl = \"https://llm.example.com/v1\"\n\
                    model = \"m\"\n\
                    instructions = \"Research.\"\nrequires = [\"domain\"]\ncache = {}\n";
        let config =
            Config::parse(READERS, "p.toml", text).unwrap_or_else(|error| panic!("{error}"));
        let rules = rules_of(&config.providers[0]).expect("a cache");
        let key = |asked: Json| rules.key("acme", &SECRET, &input(asked)).pk;
        let one =
            key(json!({"domain": "a.example", "city": "Bonn", "struct": {"age": "in years"}}));
        for other in [
            json!({"domain": "a.example", "city": "Ulm", "struct": {"age": "in years"}}),
            json!({"domain": "a.example", "city": "Bonn", "struct": {"title": "the job title"}}),
            json!({"domain": "a.example", "struct": {"age": "in years"}}),
        ] {
            assert_ne!(key(other.clone()), one, "{other}");
        }
        let same = json!({"struct": {"age": "in years"}, "city": "Bonn ", "domain": "A.example"});
        assert_eq!(key(same), one, "written otherwise");
    }

    #[test]
    fn what_says_that_an_answer_came_is_part_of_the_question() {
        let later = "later = { id = { expr = \"response[input.email | default('id')]\" }, \
                     when = \"response.state != input.city\", \
                     done = \"response.state == 'done'\", \
                     poll = { url = \"https://api.example.com/{{ later.id }}\" } }\ncache = {}";
        let text = format!(
            "[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"city\", \"email\"]\n\
             waterfall = [\"api\"]\n\
             [providers.api]\nkind = \"http\"\n\
             url = \"https://api.example.com/{{{{ input.domain }}}}\"\n\
             fields = {{ name = \"/name\" }}\n{later}"
        );
        let config =
            Config::parse(READERS, "p.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let rules = rules_of(&config.providers[0]).expect("a cache");
        let key = |asked: Json| rules.key("acme", &SECRET, &input(asked)).pk;
        let one = key(json!({"domain": "a.example", "city": "Bonn", "email": "x"}));
        assert_ne!(
            key(json!({"domain": "a.example", "city": "Ulm", "email": "x"})),
            one
        );
        assert_ne!(
            key(json!({"domain": "a.example", "city": "Bonn", "email": "y"})),
            one
        );
    }

    #[test]
    fn only_answers_are_kept_and_large_ones_are_not() {
        let rules = rules("", "cache = { not_found_s = 0 }");
        let found = |value: Json| Answer::Found {
            fields: input(json!({"name": value})),
            confidence: Some(0.5.into()),
        };
        assert_eq!(
            rules.keeps(&found(json!("A"))),
            Some(Duration::from_secs(2_592_000))
        );
        for never in [
            Answer::NotFound,
            Answer::Invalid(String::new()),
            Answer::failed(FailureCode::ProviderError, ""),
        ] {
            assert_eq!(rules.keeps(&never), None);
        }
        let now = Timestamp(1_767_225_600_000);
        let kept = CachedAnswer::of(&found(json!("A")), now).unwrap();
        let key = || rules.key("acme", &SECRET, &Map::new());
        let item = answer_item(key(), &kept, Timestamp(now.0 + 1000)).unwrap();
        assert_eq!(read_answer(&item, now), Some(kept.clone()));
        let later = Timestamp(now.0 + 1000);
        assert_eq!(
            read_answer::<CachedAnswer>(&item, later),
            None,
            "its time is over"
        );
        assert_eq!(kept.answer(), found(json!("A")));
        let stored =
            |value| answer_item(key(), &CachedAnswer::of(&found(value), now).unwrap(), later);
        // A megabyte of one letter is small when packed.
        assert_eq!(stored(json!("a".repeat(1024 * 1024))), None);
        assert!(stored(json!("a".repeat(1024 * 1000))).is_some());
        let noise: String = (0..200_000_u64)
            .map(|n| hex::encode(Sha256::digest(n.to_be_bytes())).remove(0))
            .collect();
        assert_eq!(stored(json!(noise)), None, "too large when packed");
    }
}
