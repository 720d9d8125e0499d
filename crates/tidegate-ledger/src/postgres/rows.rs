//! Between values and PostgreSQL's columns.

use std::borrow::Cow;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_core::{AppId, Block, Generation, RequestId, StreamKey, UnixMs};

use super::error::reading;
use crate::cdns::raw;
use crate::chain::RawActor;
use crate::columns::{actor_value, app_id, corrupt, result_value, stream_key, until_value, value};
use crate::error::LedgerError;
use crate::model::{Attempt, DecisionRecord, NonceRecord, NonceUse, Placement, Target, Vendor};

/// Free text as stored: PostgreSQL cannot hold U+0000.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '\0']) {
        text.replace('\\', "\\\\").replace('\0', "\\0").into()
    } else {
        text.into()
    }
}

/// As [`escaped`], where there is a text.
pub(crate) fn maybe_escaped(text: Option<&str>) -> Option<String> {
    text.map(|text| escaped(text).into_owned())
}

/// What [`escaped`] was made of; `None` if it was not made so.
pub(crate) fn unescaped(stored: &str) -> Option<String> {
    let mut text = String::with_capacity(stored.len());
    let mut rest = stored.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next()? {
                '\\' => text.push('\\'),
                '0' => text.push('\0'),
                _ => return None,
            },
            c => text.push(c),
        }
    }
    Some(text)
}

/// A column of a row, with the ledger's error.
pub(crate) fn get<'r, T>(row: &'r PgRow, index: usize) -> Result<T, LedgerError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(index).map_err(|e| reading(&e))
}

/// A column of free text.
pub(crate) fn free(row: &PgRow, index: usize) -> Result<String, LedgerError> {
    unescaped(get(row, index)?).ok_or_else(|| corrupt("a text"))
}

/// A column of free text that may be absent.
pub(crate) fn maybe_free(row: &PgRow, index: usize) -> Result<Option<String>, LedgerError> {
    let stored: Option<&str> = get(row, index)?;
    stored
        .map(|text| unescaped(text).ok_or_else(|| corrupt("a text")))
        .transpose()
}

/// From `generation, since_ms, until_ms, held_resume` at `first`; `None` where no block stands.
pub(crate) fn block(row: &PgRow, first: usize) -> Result<Option<Block>, LedgerError> {
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
pub(crate) fn target(row: &PgRow, first: usize) -> Result<Target, LedgerError> {
    let vendor: &str = get(row, first + 2)?;
    Ok(Target {
        id: get(row, first)?,
        app: app_id(get(row, first + 1)?)?,
        vendor: Vendor::parse(vendor).ok_or_else(|| corrupt("a vendor"))?,
        publish_domain: get(row, first + 3)?,
        rtmp_app: get(row, first + 4)?,
    })
}

/// From `wanted, accepted, accepted_ms, observed, observed_ms` at `first`.
pub(crate) fn observed_placement(
    target: Target,
    row: &PgRow,
    first: usize,
) -> Result<Placement, LedgerError> {
    Ok(Placement {
        target,
        wanted: Generation(value(get(row, first)?)),
        accepted: get::<Option<i64>>(row, first + 1)?.map(|g| Generation(value(g))),
        accepted_at: get::<Option<i64>>(row, first + 2)?.map(UnixMs),
        observed: raw::observed(get(row, first + 3)?, get(row, first + 4)?)?,
    })
}

/// From `generation, verb, until_ms, actor, operator, client, reason, at_ms, request_id`.
pub(crate) fn decision(key: &StreamKey, row: &PgRow) -> Result<DecisionRecord, LedgerError> {
    let by = RawActor {
        actor: get(row, 3)?,
        operator: maybe_free(row, 4)?,
        client: get(row, 5)?,
    };
    Ok(DecisionRecord {
        key: key.clone(),
        generation: Generation(value(get(row, 0)?)),
        verb: get(row, 1)?,
        until: get::<Option<i64>>(row, 2)?.map(|until| until_value(until).shown()),
        by: actor_value(by)?,
        reason: maybe_free(row, 6)?,
        at: UnixMs(get(row, 7)?),
        request_id: get::<Option<i64>>(row, 8)?.map(|id| RequestId(value(id))),
    })
}

/// From `target, generation, at_ms, result, vendor_request_id, words`.
pub(crate) fn attempt(key: &StreamKey, row: &PgRow) -> Result<Attempt, LedgerError> {
    Ok(Attempt {
        key: key.clone(),
        target: get(row, 0)?,
        generation: Generation(value(get(row, 1)?)),
        at: UnixMs(get(row, 2)?),
        result: result_value(get(row, 3)?)?,
        vendor_request_id: free(row, 4)?,
        words: free(row, 5)?,
    })
}

/// From `digest, expires_ms, request_id, stream, generation, answer` at `first`; `None` where the
/// nonce is not bound.
pub(crate) fn nonce(
    app: AppId,
    nonce: &str,
    row: &PgRow,
    first: usize,
) -> Result<Option<NonceRecord>, LedgerError> {
    let Some(digest) = get::<Option<Vec<u8>>>(row, first)? else {
        return Ok(None);
    };
    Ok(Some(NonceRecord {
        app,
        used: NonceUse {
            nonce: nonce.to_owned(),
            digest: digest.try_into().map_err(|_| corrupt("a nonce"))?,
            expires: UnixMs(get(row, first + 1)?),
        },
        request_id: RequestId(value(get(row, first + 2)?)),
        key: stream_key(i64::from(app.0), get(row, first + 3)?)?,
        generation: Generation(value(get(row, first + 4)?)),
        answer: maybe_free(row, first + 5)?,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_stored_without_nul(text in "[\\\\\0a0é]{0,12}") {
            let stored = escaped(&text);
            prop_assert!(!stored.contains('\0'));
            prop_assert_eq!(unescaped(&stored), Some(text.clone()));
        }
    }

    #[test]
    fn what_was_not_escaped_so_is_refused() {
        assert_eq!(unescaped("\\x"), None);
        assert_eq!(unescaped("\\"), None);
    }
}
