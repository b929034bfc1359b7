//! The table on `DynamoDB`.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    Capacity, ConsumedCapacity, DeleteRequest, KeysAndAttributes, PutRequest,
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, WriteRequest,
};

use super::expression::{self, Aliases, Raw};
use super::failure::{Unknown, cancelled, existing, failure};
use super::meter::{Meter, Usage};
use super::transaction::raw_write;
use crate::ports::{
    Clock, Entropy, FailedCondition, Item, Key, Put, Query, Store, StoreError, Update, Write,
};

/// Source: Amazon `DynamoDB` API reference, `BatchGetItem`.
const MAX_GETS: usize = 100;
/// Source: Amazon `DynamoDB` API reference, `BatchWriteItem`.
const MAX_PUTS: usize = 25;
/// `BatchWriteItem` takes 16 MB on the wire, where bytes are base64; half of that leaves room for
/// it.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Rounds without any progress before what the table leaves unprocessed counts as throttled.
const MAX_IDLE_ROUNDS: u32 = 6;
/// The wait after the first such round, before jitter; it doubles up to a second.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The table: keys `pk` and `sk`, indexes `by_tenant` and `due`.
pub struct DynamoStore {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    meter: Option<Arc<Meter>>,
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// The capacity of a call, as the meter counts it.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl DynamoStore {
    pub(super) fn new(
        client: Client,
        table: String,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        meter: Option<Arc<Meter>>,
    ) -> Self {
        Self {
            client,
            table,
            clock,
            entropy,
            meter,
        }
    }

    fn capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.meter
            .is_some()
            .then_some(ReturnConsumedCapacity::Indexes)
    }

    fn count<'a>(
        &self,
        operation: &'static str,
        kind: Access,
        answer: Option<impl IntoIterator<Item = &'a ConsumedCapacity>>,
    ) {
        let Some(meter) = &self.meter else { return };
        let mut usage = Usage {
            calls: 1,
            errors: u64::from(answer.is_none()),
            ..Usage::default()
        };
        for consumed in answer.into_iter().flatten() {
            let units = consumed.capacity_units().unwrap_or_default();
            match kind {
                Access::Read => usage.read_units += units,
                Access::Write => {
                    usage.write_units += units;
                    let indexes = consumed
                        .global_secondary_indexes()
                        .into_iter()
                        .flat_map(HashMap::values);
                    usage.index_write_units +=
                        indexes.filter_map(Capacity::capacity_units).sum::<f64>();
                }
            }
        }
        meter.count(operation, usage);
    }

    /// Waits before what was left unprocessed goes out again.
    async fn back_off(&self, idle_rounds: u32) -> Result<(), StoreError> {
        if idle_rounds >= MAX_IDLE_ROUNDS {
            return Err(StoreError::Throttled);
        }
        let longest = FIRST_WAIT
            .saturating_mul(1 << idle_rounds)
            .min(Duration::from_secs(1));
        self.clock.sleep(longest.mul_f64(self.entropy.unit())).await;
        Ok(())
    }

    /// One `BatchGetItem` and its repetitions.
    async fn get_batch(
        &self,
        keys: &[Key],
        found: &mut HashMap<Key, Item>,
    ) -> Result<(), StoreError> {
        let mut left: Vec<Raw> = keys.iter().map(expression::raw_key).collect();
        let mut idle_rounds = 0;
        loop {
            let asked = left.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .build();
            let request = request
                .map_err(|_| StoreError::Refused("the request could not be built".to_owned()))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .set_return_consumed_capacity(self.capacity())
                .send()
                .await;
            self.count(
                "dynamodb.BatchGetItem",
                Access::Read,
                answer
                    .as_ref()
                    .ok()
                    .map(BatchGetItemOutput::consumed_capacity),
            );
            let answer = answer.map_err(|error| failure(&error))?;
            for raw in answer
                .responses
                .into_iter()
                .flat_map(HashMap::into_values)
                .flatten()
            {
                let item = expression::item(raw)?;
                found.insert(item.key.clone(), item);
            }
            let unprocessed = answer.unprocessed_keys.unwrap_or_default();
            left = unprocessed
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            // An answer is cut at 16 MB too, and that is not a sign of throttling.
            idle_rounds = if left.len() < asked {
                0
            } else {
                idle_rounds + 1
            };
            self.back_off(idle_rounds).await?;
        }
    }

    /// One `BatchWriteItem` and its repetitions.
    async fn write_batch(&self, mut left: Vec<WriteRequest>) -> Result<(), StoreError> {
        let mut idle_rounds = 0;
        while !left.is_empty() {
            let asked = left.len();
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.table, left)
                .set_return_consumed_capacity(self.capacity())
                .send()
                .await;
            self.count(
                "dynamodb.BatchWriteItem",
                Access::Write,
                answer
                    .as_ref()
                    .ok()
                    .map(BatchWriteItemOutput::consumed_capacity),
            );
            let answer = answer.map_err(|error| failure(&error))?;
            left = answer
                .unprocessed_items
                .unwrap_or_default()
                .into_values()
                .flatten()
                .collect();
            if left.is_empty() {
                break;
            }
            idle_rounds = if left.len() < asked {
                0
            } else {
                idle_rounds + 1
            };
            self.back_off(idle_rounds).await?;
        }
        Ok(())
    }
}

/// The service looks for repeated keys within one batch only.
fn no_repeats<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(StoreError::Refused("a key repeats".to_owned()));
        }
    }
    Ok(())
}

fn condition_failed(raw: Option<Raw>) -> StoreError {
    match existing(raw) {
        Ok(existing) => StoreError::ConditionFailed(vec![FailedCondition { at: 0, existing }]),
        Err(error) => error,
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(expression::raw_key(key)))
            .consistent_read(true)
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await;
        self.count(
            "dynamodb.GetItem",
            Access::Read,
            answer.as_ref().ok().map(|a| a.consumed_capacity()),
        );
        answer
            .map_err(|error| failure(&error))?
            .item
            .map(expression::item)
            .transpose()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        no_repeats(keys.iter())?;
        let mut found = HashMap::with_capacity(keys.len());
        for batch in keys.chunks(MAX_GETS) {
            self.get_batch(batch, &mut found).await?;
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let mut aliases = Aliases::default();
        let (index, condition) = expression::key_condition(&query.select, &mut aliases);
        let (names, values) = aliases.into_parts();
        let mut found = Vec::new();
        let mut start = None;
        while found.len() < query.limit {
            let left = i32::try_from(query.limit - found.len()).unwrap_or(i32::MAX);
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .set_index_name(index.map(str::to_owned))
                .key_condition_expression(&condition)
                .set_expression_attribute_names(names.clone())
                .set_expression_attribute_values(values.clone())
                // An index refuses consistent reads.
                .consistent_read(query.consistent && index.is_none())
                .scan_index_forward(!query.descending)
                .limit(left)
                .set_exclusive_start_key(start)
                .set_return_consumed_capacity(self.capacity())
                .send()
                .await;
            self.count(
                "dynamodb.Query",
                Access::Read,
                answer.as_ref().ok().map(|a| a.consumed_capacity()),
            );
            let answer = answer.map_err(|error| failure(&error))?;
            for raw in answer.items.unwrap_or_default() {
                found.push(expression::item(raw)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        let mut aliases = Aliases::default();
        let condition = expression::optional(put.condition.as_ref(), &mut aliases)?;
        let (names, values) = aliases.into_parts();
        let unknown = Unknown::new(false);
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(expression::raw_item(&put.item)?))
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.capacity())
            .customize()
            .config_override(Config::builder().retry_classifier(unknown.clone()))
            .send()
            .await;
        self.count(
            "dynamodb.PutItem",
            Access::Write,
            answer.as_ref().ok().map(|a| a.consumed_capacity()),
        );
        let Err(error) = answer else { return Ok(()) };
        let failed = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                condition_failed(failed.item.clone())
            }
            _ => failure(&error).into(),
        };
        Err(unknown.honest(failed))
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        let mut aliases = Aliases::default();
        let changes = expression::changes(&update.changes, &mut aliases)?;
        let condition = expression::optional(update.condition.as_ref(), &mut aliases)?;
        let (names, values) = aliases.into_parts();
        let unknown = Unknown::new(expression::counts(&update));
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(expression::raw_key(&update.key)))
            .update_expression(changes)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .set_return_consumed_capacity(self.capacity())
            .customize()
            .config_override(Config::builder().retry_classifier(unknown.clone()))
            .send()
            .await;
        self.count(
            "dynamodb.UpdateItem",
            Access::Write,
            answer.as_ref().ok().map(|a| a.consumed_capacity()),
        );
        let error = match answer {
            Ok(answer) => return expression::item(answer.attributes.unwrap_or_default()),
            Err(error) => error,
        };
        let failed = match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                condition_failed(failed.item.clone())
            }
            _ => failure(&error).into(),
        };
        Err(unknown.honest(failed))
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let actions: Result<Vec<_>, _> = writes
            .iter()
            .map(|write| raw_write(&self.table, write))
            .collect();
        // The SDK puts one token on all attempts of this call, so a repeated one does not count
        // twice.
        let unknown = Unknown::new(false);
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions?))
            .set_return_consumed_capacity(self.capacity())
            .customize()
            .config_override(Config::builder().retry_classifier(unknown.clone()))
            .send()
            .await;
        self.count(
            "dynamodb.TransactWriteItems",
            Access::Write,
            answer
                .as_ref()
                .ok()
                .map(TransactWriteItemsOutput::consumed_capacity),
        );
        let Err(error) = answer else { return Ok(()) };
        let failed = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                cancelled(canceled.cancellation_reasons())
            }
            _ => failure(&error).into(),
        };
        Err(unknown.honest(failed))
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        no_repeats(items.iter().map(|item| &item.key))?;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for item in &items {
            let size = expression::size(item);
            if batch.len() == MAX_PUTS || (bytes + size > MAX_BATCH_BYTES && !batch.is_empty()) {
                self.write_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            let put = PutRequest::builder()
                .set_item(Some(expression::raw_item(item)?))
                .build();
            let put =
                put.map_err(|_| StoreError::Refused("the request could not be built".to_owned()))?;
            batch.push(WriteRequest::builder().put_request(put).build());
        }
        self.write_batch(batch).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        no_repeats(keys.iter())?;
        for batch in keys.chunks(MAX_PUTS) {
            let requests: Result<Vec<_>, _> = batch
                .iter()
                .map(|key| {
                    let delete = DeleteRequest::builder()
                        .set_key(Some(expression::raw_key(key)))
                        .build()?;
                    Ok(WriteRequest::builder().delete_request(delete).build())
                })
                .collect();
            let requests: Vec<WriteRequest> =
                requests.map_err(|_: aws_sdk_dynamodb::error::BuildError| {
                    StoreError::Refused("the request could not be built".to_owned())
                })?;
            self.write_batch(requests).await?;
        }
        Ok(())
    }
}
