//! Between values and columns.

use std::net::IpAddr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_core::{
    Actor, AppId, Block, Generation, RequestId, StreamId, StreamKey, UnixMs, Until,
};

use super::error::reading;
use crate::chain::RawActor;
use crate::error::LedgerError;
use crate::model::{Attempt, AttemptResult, DecisionRecord, NonceRecord, NonceUse, Placement};
use crate::model::{Target, Vendor};

/// `until_ms` of a block that lasts until lifted.
pub(crate) const LIFTED: i64 = i64::MAX;

pub(crate) fn until_column(until: Until) -> i64 {
    match until {
        Until::At(at) => at.0,
        Until::Lifted => LIFTED,
    }
}

pub(crate) fn until_value(column: i64) -> Until {
    match column {
        LIFTED => Until::Lifted,
        at => Until::At(UnixMs(at)),
    }
}

/// 64-bit numbers without a sign keep their bits; generations stay below 2^63 anyway.
pub(crate) fn column(value: u64) -> i64 {
    value.cast_signed()
}

pub(crate) fn value(column: i64) -> u64 {
    column.cast_unsigned()
}

pub(crate) fn actor_columns(by: &Actor) -> RawActor {
    let (actor, operator, client) = match by {
        Actor::App { client } => ("app", None, client),
        Actor::Operator { name, client } => ("operator", Some(name.clone()), client),
    };
    RawActor {
        actor: Some(actor.to_owned()),
        operator,
        client: Some(client.to_string()),
    }
}

fn actor_value(raw: RawActor) -> Result<Option<Actor>, LedgerError> {
    let Some(kind) = raw.actor else {
        return Ok(None);
    };
    let client: IpAddr = raw
        .client
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| corrupt("a client address"))?;
    match (kind.as_str(), raw.operator) {
        ("app", None) => Ok(Some(Actor::App { client })),
        ("operator", Some(name)) => Ok(Some(Actor::Operator { name, client })),
        _ => Err(corrupt("an actor")),
    }
}

pub(crate) fn corrupt(what: &str) -> LedgerError {
    LedgerError::Corrupt(format!(
        "{what} in the ledger cannot be read; run tidegate audit verify"
    ))
}

/// A column of a row, with the ledger's error.
pub(crate) fn get<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, LedgerError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|e| reading(&e))
}

pub(crate) fn app_id(column: i64) -> Result<AppId, LedgerError> {
    u32::try_from(column)
        .map(AppId)
        .map_err(|_| corrupt("an AppId"))
}

pub(crate) fn stream_key(app: i64, stream: &str) -> Result<StreamKey, LedgerError> {
    let stream = StreamId::parse(stream).map_err(|_| corrupt("a stream id"))?;
    Ok(StreamKey::new(app_id(app)?, stream))
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
        result: match result.as_str() {
            "accepted" => AttemptResult::Accepted,
            "failed" => AttemptResult::Failed,
            _ => return Err(corrupt("the result of an attempt")),
        },
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
