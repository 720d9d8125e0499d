//! Between values and columns.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_core::{AppId, Block, Generation, RequestId, StreamKey, UnixMs};

use super::error::reading;
use crate::cdns::raw;
use crate::chain::RawActor;
pub(crate) use crate::columns::{
    actor_columns, app_id, column, corrupt, stream_key, until_column, until_value, value,
};
use crate::columns::{actor_value, result_value};
use crate::error::LedgerError;
use crate::model::{Attempt, DecisionRecord, NonceRecord, NonceUse, Placement};
use crate::model::{Target, Vendor};

/// A column of a row, with the ledger's error.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, LedgerError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|e| reading(&e))
}

/// From `generation, since_ms, until_ms, held_resume` at `first`; `None` where no block stands.
pub(crate) fn block(row: &SqliteRow, first: usize) -> Result<Option<Block>, LedgerError> {
    let Some(generation) = get::<Option<i64>>(row, first)? else {
        return Ok(None);
    };
    Ok(Some(Block {
        generation: Generation(value(generation)),
        since: UnixMs(get(row, first + 1)?),
        until: until_value(get(row, first + 2)?),
        held_resume: get::<Option<i64>>(row, first + 3)?.map(|g| Generation(value(g))),
    }))
}

/// From `id, app_id, vendor, publish_domain, rtmp_app` at `first`.
pub(crate) fn target(row: &SqliteRow, first: usize) -> Result<Target, LedgerError> {
    let vendor: String = get(row, first + 2)?;
    Ok(Target {
        id: get(row, first)?,
        app: app_id(get(row, first + 1)?)?,
        vendor: Vendor::parse(&vendor).ok_or_else(|| corrupt("a vendor"))?,
        publish_domain: get(row, first + 3)?,
        rtmp_app: get(row, first + 4)?,
    })
}

/// From `wanted, accepted, accepted_ms` at `first`.
pub(crate) fn placement(
    target: Target,
    row: &SqliteRow,
    first: usize,
) -> Result<Placement, LedgerError> {
    Ok(Placement {
        target,
        wanted: Generation(value(get(row, first)?)),
        accepted: get::<Option<i64>>(row, first + 1)?.map(|g| Generation(value(g))),
        accepted_at: get::<Option<i64>>(row, first + 2)?.map(UnixMs),
        observed: None,
    })
}

/// From `wanted, accepted, accepted_ms, observed, observed_ms` at `first`.
pub(crate) fn observed_placement(
    target: Target,
    row: &SqliteRow,
    first: usize,
) -> Result<Placement, LedgerError> {
    let observed = raw::observed(get(row, first + 3)?, get(row, first + 4)?)?;
    Ok(Placement {
        observed,
        ..placement(target, row, first)?
    })
}

/// From `generation, verb, until_ms, actor, operator, client, reason, at_ms, request_id`.
pub(crate) fn decision(key: &StreamKey, row: &SqliteRow) -> Result<DecisionRecord, LedgerError> {
    let by = RawActor {
        actor: get(row, 3)?,
        operator: get(row, 4)?,
        client: get(row, 5)?,
    };
    Ok(DecisionRecord {
        key: key.clone(),
        generation: Generation(value(get(row, 0)?)),
        verb: get(row, 1)?,
        until: get::<Option<i64>>(row, 2)?.map(|until| until_value(until).shown()),
        by: actor_value(by)?,
        reason: get(row, 6)?,
        at: UnixMs(get(row, 7)?),
        request_id: get::<Option<i64>>(row, 8)?.map(|id| RequestId(value(id))),
    })
}

/// From `target, generation, at_ms, result, vendor_request_id, words`.
pub(crate) fn attempt(key: &StreamKey, row: &SqliteRow) -> Result<Attempt, LedgerError> {
    let result: String = get(row, 3)?;
    Ok(Attempt {
        key: key.clone(),
        target: get(row, 0)?,
        generation: Generation(value(get(row, 1)?)),
        at: UnixMs(get(row, 2)?),
        result: result_value(&result)?,
        vendor_request_id: get(row, 4)?,
        words: get(row, 5)?,
    })
}

/// From `digest, expires_ms, request_id, stream, generation, answer` at `first`; `None` where the
/// nonce is not bound.
pub(crate) fn nonce(
    app: AppId,
    nonce: &str,
    row: &SqliteRow,
    first: usize,
) -> Result<Option<NonceRecord>, LedgerError> {
    let Some(digest) = get::<Option<Vec<u8>>>(row, first)? else {
        return Ok(None);
    };
    let stream: String = get(row, first + 3)?;
    Ok(Some(NonceRecord {
        app,
        used: NonceUse {
            nonce: nonce.to_owned(),
            digest: digest.try_into().map_err(|_| corrupt("a nonce"))?,
            expires: UnixMs(get(row, first + 1)?),
        },
        request_id: RequestId(value(get(row, first + 2)?)),
        key: stream_key(i64::from(app.0), &stream)?,
        generation: Generation(value(get(row, first + 4)?)),
        answer: get(row, first + 5)?,
    }))
}
