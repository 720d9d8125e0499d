//! Forbid and resume by an operator.

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::text::printable;
use tidegate_core::{Ask, AskKind, AskedEnd, UnixMs, Until};
use tidegate_engine::Reply;

use super::error::ApiError;
use super::input;
use super::{Context, Ctx};

/// Longest reason, in characters.
const LONGEST_REASON: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forbid {
    until: Option<String>,
    r#for: Option<String>,
    for_ever: Option<bool>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    reason: Option<String>,
}

pub(super) async fn forbid(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Forbid = input::body(&body)?;
    let now = context.attached.engine.now();
    let end = end(&asked, now)?;
    decide(&context, (&id, &stream), AskKind::Forbid(end), asked.reason).await
}

pub(super) async fn resume(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Resume = input::body(&body)?;
    decide(&context, (&id, &stream), AskKind::Resume, asked.reason).await
}

/// The one end that is asked for; none given means until lifted.
fn end(asked: &Forbid, now: UnixMs) -> Result<AskedEnd, ApiError> {
    let for_ever = asked.for_ever.unwrap_or(false);
    match (&asked.until, &asked.r#for, for_ever) {
        (None, None, _) if asked.for_ever != Some(false) => Ok(AskedEnd::Lifted),
        (Some(text), None, false) => {
            let at = UnixMs::parse_utc(text).map_err(|why| {
                let came = printable(text, 40);
                ApiError::invalid(format!("until is not an instant: {why}; came {came:?}"))
            })?;
            if at <= now {
                return Err(ApiError::invalid(format!(
                    "until must be in the future, came {at}; the server's time is {now}"
                )));
            }
            Ok(AskedEnd::At(at))
        }
        (None, Some(text), false) => Ok(AskedEnd::At(now.plus(input::duration(text)?))),
        _ => Err(ApiError::invalid(
            "give one of until, for and for_ever: true, or none of them for no end",
        )),
    }
}

async fn decide(
    context: &Context,
    (id, stream): (&str, &str),
    kind: AskKind,
    reason: Option<String>,
) -> Result<Json<Value>, ApiError> {
    let (_, key) = context.stream(id, stream)?;
    if reason
        .as_ref()
        .is_some_and(|r| r.chars().count() > LONGEST_REASON)
    {
        return Err(ApiError::invalid(format!(
            "a reason has {LONGEST_REASON} characters at most"
        )));
    }
    let engine = &context.attached.engine;
    let ask = Ask {
        key,
        kind,
        by: context.operator.actor(),
        reason: reason.filter(|text| !text.is_empty()),
        at: engine.now(),
        request_id: engine.request_id(),
    };
    let Reply::Decided(answered) = engine.decide(ask, None).await? else {
        // Without a nonce there is nothing to repeat or to take.
        return Err(ApiError::internal(
            "the ledger took the decision for another",
        ));
    };
    let block = answered.outcome.and_then(|outcome| outcome.block());
    let results = answered.results.iter().map(|result| {
        json!({
            "vendor": result.vendor,
            "result": result.result.word(),
            "words": result.words,
        })
    });
    Ok(Json(json!({
        "request_id": answered.request_id.to_string(),
        "generation": answered.generation,
        "blocked": block.is_some(),
        "until": block.map(|block| block.until.shown().to_string()),
        "for_ever": block.is_some_and(|block| block.until == Until::Lifted),
        "results": results.collect::<Vec<_>>(),
    })))
}
