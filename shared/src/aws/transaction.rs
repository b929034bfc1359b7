//! The writes of a transaction as `DynamoDB` takes them.

use aws_sdk_dynamodb::types::{
    ConditionCheck, Put as RawPut, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as RawUpdate,
};

use super::expression::{self, Aliases};
use crate::ports::{StoreError, Write};

/// A write of a transaction on this table, as the service takes it.
pub(super) fn raw_write(table: &str, write: &Write) -> Result<TransactWriteItem, StoreError> {
    let unbuilt = |_| StoreError::Refused("the request could not be built".to_owned());
    let mut aliases = Aliases::default();
    let old = ReturnValuesOnConditionCheckFailure::AllOld;
    let action = TransactWriteItem::builder();
    let action = match write {
        Write::Put(put) => {
            let condition = expression::optional(put.condition.as_ref(), &mut aliases)?;
            let (names, values) = aliases.into_parts();
            let put = RawPut::builder()
                .table_name(table)
                .set_item(Some(expression::raw_item(&put.item)?))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(old)
                .build();
            action.put(put.map_err(unbuilt)?)
        }
        Write::Update(update) => {
            let changes = expression::changes(&update.changes, &mut aliases)?;
            let condition = expression::optional(update.condition.as_ref(), &mut aliases)?;
            let (names, values) = aliases.into_parts();
            let update = RawUpdate::builder()
                .table_name(table)
                .set_key(Some(expression::raw_key(&update.key)))
                .update_expression(changes)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(old)
                .build();
            action.update(update.map_err(unbuilt)?)
        }
        Write::Check { key, condition } => {
            let condition = expression::condition(condition, &mut aliases)?;
            let (names, values) = aliases.into_parts();
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(expression::raw_key(key)))
                .condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(old)
                .build();
            action.condition_check(check.map_err(unbuilt)?)
        }
    };
    Ok(action.build())
}
