//! Between values and columns, the same in every back end.

use std::net::IpAddr;

use tidegate_core::{Actor, AppId, StreamId, StreamKey, UnixMs, Until};

use crate::chain::{RawActor, RawAttempt};
use crate::error::LedgerError;
use crate::model::{Attempt, AttemptResult, PublishAuth};

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

pub(crate) fn actor_value(raw: RawActor) -> Result<Option<Actor>, LedgerError> {
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

pub(crate) fn app_id(column: i64) -> Result<AppId, LedgerError> {
    u32::try_from(column)
        .map(AppId)
        .map_err(|_| corrupt("an AppId"))
}

pub(crate) fn stream_key(app: i64, stream: &str) -> Result<StreamKey, LedgerError> {
    let stream = StreamId::parse(stream).map_err(|_| corrupt("a stream id"))?;
    Ok(StreamKey::new(app_id(app)?, stream))
}

/// The result of an attempt, as stored.
pub(crate) fn result_word(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Accepted => "accepted",
        AttemptResult::Failed => "failed",
        AttemptResult::Dark => "dark",
        AttemptResult::Live => "live",
    }
}

/// From storage.
pub(crate) fn result_value(word: &str) -> Result<AttemptResult, LedgerError> {
    match word {
        "accepted" => Ok(AttemptResult::Accepted),
        "failed" => Ok(AttemptResult::Failed),
        "dark" => Ok(AttemptResult::Dark),
        "live" => Ok(AttemptResult::Live),
        _ => Err(corrupt("the result of an attempt")),
    }
}

/// What a publish URL needs, as stored.
pub(crate) fn auth_word(auth: PublishAuth) -> &'static str {
    match auth {
        PublishAuth::None => "none",
        PublishAuth::Signed => "signed",
    }
}

/// From storage.
pub(crate) fn auth_value(word: &str) -> Result<PublishAuth, LedgerError> {
    match word {
        "none" => Ok(PublishAuth::None),
        "signed" => Ok(PublishAuth::Signed),
        _ => Err(corrupt("an App's publish authentication")),
    }
}

/// An attempt as the chain covers it.
pub(crate) fn raw_attempt(attempt: &Attempt) -> RawAttempt {
    RawAttempt {
        app: i64::from(attempt.key.app.0),
        stream: attempt.key.stream.as_str().to_owned(),
        target: attempt.target,
        generation: column(attempt.generation.0),
        at_ms: attempt.at.0,
        result: result_word(attempt.result).to_owned(),
        vendor_request_id: attempt.vendor_request_id.clone(),
        words: attempt.words.clone(),
    }
}
