//! Authenticate: which tenant calls, and whether its key may do what it is used for.

use super::{Ports, StepError};
use crate::domain::error::ApiError;
use crate::domain::tenant::{Caller, Scope, hash_key};
use crate::schema::{
    api_key_key, credits_key, profile_key, read_api_key, read_credits, read_profile,
};

/// Returns who holds this key, if there is such a key and it may do what it is used for.
pub async fn authenticate(
    ports: &Ports,
    key: Option<&str>,
    needs: Scope,
) -> Result<Caller, ApiError> {
    let key = key
        .filter(|k| !k.is_empty() && k.len() <= 256)
        .ok_or(ApiError::Unauthorized)?;
    let item = ports
        .store
        .get(&api_key_key(&hash_key(key)))
        .await
        .map_err(StepError::from)?;
    let item = item.ok_or(ApiError::Unauthorized)?;
    let (tenant, scopes) = read_api_key(&item)?;
    if !scopes.contains(&needs) {
        return Err(ApiError::Forbidden {
            needs: needs.as_str(),
        });
    }
    let items = ports
        .store
        .get_many(&[profile_key(&tenant), credits_key(&tenant)])
        .await
        .map_err(StepError::from)?;
    let [Some(profile), Some(credits)] = &items[..] else {
        return Err(ApiError::Unauthorized);
    };
    let credits = read_credits(Some(credits));
    Ok(Caller {
        profile: read_profile(profile)?,
        scopes,
        balance: credits.balance,
        used: credits.used,
        open_chunks: credits.open_chunks,
    })
}
