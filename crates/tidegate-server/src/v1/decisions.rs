//! Forbid and resume by an operator.

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::text::printable;
use tidegate_core::{Ask, AskKind, AskedEnd, UnixMs, Until};
use tidegate_engine::Reply;
use tidegate_engine::cdns::Preview;

use super::error::ApiError;
use super::input;
use super::streams::target;
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
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// What is to be decided.
struct Asked {
    kind: AskKind,
    reason: Option<String>,
    /// Only say what would happen.
    dry_run: bool,
}

pub(super) async fn forbid(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Forbid = input::body(&body)?;
    let now = context.attached.engine.now();
    let asked = Asked {
        kind: AskKind::Forbid(end(&asked, now)?),
        reason: asked.reason,
        dry_run: asked.dry_run,
    };
    decide(&context, (&id, &stream), asked).await
}

pub(super) async fn resume(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Resume = input::body(&body)?;
    let asked = Asked {
        kind: AskKind::Resume,
        reason: asked.reason,
        dry_run: asked.dry_run,
    };
    decide(&context, (&id, &stream), asked).await
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
    asked: Asked,
) -> Result<Json<Value>, ApiError> {
    let (_, key) = context.stream(id, stream)?;
    let Asked {
        kind,
        reason,
        dry_run,
    } = asked;
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
    if dry_run {
        return Ok(Json(preview_json(&engine.preview(&ask).await?)));
    }
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

/// What would happen; there is no request id and no generation, since nothing is decided.
fn preview_json(preview: &Preview) -> Value {
    let block = preview.outcome.block();
    let targets = preview.targets.iter().map(|at| {
        let mut shown = json!({
            "id": at.target.id,
            "vendor": at.target.vendor,
            "account": at.account,
            "publish_domain": at.target.publish_domain,
            "rtmp_app": at.target.rtmp_app,
        });
        target::put_next(&mut shown, Some(&at.next));
        target::put_shared(&mut shown, at.shared.as_ref());
        shown
    });
    json!({
        "dry_run": true,
        "blocked": block.is_some(),
        "until": block.map(|block| block.until.shown().to_string()),
        "for_ever": block.is_some_and(|block| block.until == Until::Lifted),
        "targets": targets.collect::<Vec<_>>(),
    })
}
