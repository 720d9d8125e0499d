//! Live streams, blocks, and the state of one stream.

pub(super) mod target;

use std::net::IpAddr;

use axum::extract::Path;
use axum::{Extension, Json};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::text::printable;
use tidegate_core::{Actor, StreamId, UnixMs, Until};
use tidegate_ledger::{Attempt, DecisionRecord, Target};
use tidegate_media::packet::Codec;
use tidegate_origin::StreamInfo;

use super::Ctx;
use super::error::ApiError;
use super::input;

/// Longest text of a vendor in an answer.
const LONGEST_WORDS: usize = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    #[serde(default = "a_thousand")]
    limit: usize,
}

fn a_thousand() -> usize {
    1000
}

pub(super) async fn live(
    Extension(context): Ctx,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let app = context.app(&id)?.app.id;
    let mut streams = context.attached.engine.hub().streams(Some(app));
    streams.sort_by(|a, b| a.key.stream.cmp(&b.key.stream));
    Ok(Json(streams.iter().map(live_json).collect()))
}

pub(super) async fn blocks(
    Extension(context): Ctx,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let app = context.app(&id)?.app.id;
    let Limit { limit } = input::query(&uri)?;
    let set = context.attached.engine.blocks();
    // The ones in memory only come first: they are few, and somebody has to act on them.
    let unrecorded = set.list_unrecorded(app);
    let (recorded, total) = set.list(app, limit);
    let total = total + unrecorded.len();
    let unrecorded = unrecorded
        .iter()
        .map(|(stream, until)| block_json(stream, None, *until));
    let recorded = recorded
        .iter()
        .map(|block| block_json(&block.stream, Some(block.since), block.until));
    let blocks: Vec<_> = unrecorded.chain(recorded).take(limit).collect();
    Ok(Json(json!({"total": total, "blocks": blocks})))
}

/// A block; `since` is not known of one that stands in memory only.
fn block_json(stream: &StreamId, since: Option<UnixMs>, until: Until) -> Value {
    json!({
        "stream": stream,
        "since": since.map(|at| at.to_string()),
        "until": until.shown().to_string(),
        "for_ever": until == Until::Lifted,
        "recorded": since.is_some(),
    })
}

pub(super) async fn status(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (entry, key) = context.stream(&id, &stream)?;
    let report = context.attached.engine.report(&key).await?;
    let attempts = report.ledger.attempts.iter();
    Ok(Json(json!({
        "app_id": key.app,
        "stream": key.stream,
        "blocked": report.enforced.is_some(),
        "until": report.enforced.map(|until| until.shown().to_string()),
        "for_ever": report.enforced == Some(Until::Lifted),
        "recorded": report.enforced.is_some() == report.ledger.block.is_some(),
        "targets": report.targets.iter().map(target::json).collect::<Vec<_>>(),
        "live": report.live.as_ref().map(live_json),
        "decisions": report.ledger.decisions.iter().map(decision_json).collect::<Vec<_>>(),
        "attempts": attempts.map(|a| attempt_json(a, &entry.targets)).collect::<Vec<_>>(),
    })))
}

fn live_json(stream: &StreamInfo) -> Value {
    json!({
        "stream": stream.key.stream,
        "publisher": stream.publisher.to_string(),
        "since": stream.since.to_string(),
        "video": stream.video.map(codec_name),
        "audio": stream.audio.map(codec_name),
        "players": stream.players,
        "bytes_in": stream.bytes_in,
        "bytes_out": stream.bytes_out,
        "kbps": stream.kbit_per_s,
    })
}

/// The name that people know a codec by.
fn codec_name(codec: Codec) -> String {
    match codec {
        Codec::H264 => "H.264".to_owned(),
        Codec::Hevc => "HEVC".to_owned(),
        Codec::Ac3 => "AC-3".to_owned(),
        Codec::Eac3 => "E-AC-3".to_owned(),
        Codec::G711A => "G.711 A-law".to_owned(),
        Codec::G711U => "G.711 mu-law".to_owned(),
        Codec::LegacyAudio(id) => format!("FLV audio {id}"),
        Codec::LegacyVideo(id) => format!("FLV video {id}"),
        Codec::FourCc(code) => printable(&String::from_utf8_lossy(&code), 8),
        Codec::Aac | Codec::Mp3 | Codec::Av1 | Codec::Vp8 | Codec::Vp9 => {
            format!("{codec:?}").to_uppercase()
        }
        other => format!("{other:?}"),
    }
}

fn decision_json(decision: &DecisionRecord) -> Value {
    let (by, client): (Option<&str>, Option<IpAddr>) = match &decision.by {
        Some(Actor::App { client }) => (Some("app"), Some(*client)),
        Some(Actor::Operator { name, client }) => (Some(name), Some(*client)),
        None => (None, None),
    };
    json!({
        "generation": decision.generation,
        "verb": decision.verb,
        "until": decision.until.map(|until| until.min(UnixMs::LAST).to_string()),
        "by": by,
        "client": client,
        "reason": decision.reason,
        "at": decision.at.to_string(),
        "request_id": decision.request_id.map(|id| id.to_string()),
    })
}

fn attempt_json(attempt: &Attempt, targets: &[Target]) -> Value {
    let target = targets.iter().find(|target| target.id == attempt.target);
    json!({
        "vendor": target.map(|target| target.vendor),
        "target": attempt.target,
        "generation": attempt.generation,
        "at": attempt.at.to_string(),
        "result": attempt.result,
        "vendor_request_id": attempt.vendor_request_id,
        "words": printable(&attempt.words, LONGEST_WORDS),
    })
}
