//! A stream's state on one target, as JSON. Texts of vendors come in escaped.

use serde_json::{Map, Value, json};
use tidegate_core::Until;
use tidegate_core::placement::Want;
use tidegate_engine::TargetReport;
use tidegate_engine::cdns::{CdnReport, LastError, Next, Shared, Sharer};

/// All that is known. Every target has every field; what does not apply is null.
pub(super) fn json(report: &TargetReport) -> Value {
    let (target, placed) = (&report.target, report.placement.as_ref());
    let cdn = report.cdn.as_ref();
    let accepted = cdn.and_then(|cdn| cdn.accepted.as_ref());
    let accepted = accepted.filter(|_| placed.is_some_and(|placed| placed.accepted.is_some()));
    let seen = &report.observed;
    let mut shown = json!({
        "id": target.id,
        "vendor": target.vendor,
        "account": cdn.and_then(|cdn| cdn.account.as_ref()),
        "publish_domain": target.publish_domain,
        "rtmp_app": target.rtmp_app,
        "leaving": cdn.is_some_and(|cdn| cdn.leaving),
        "wanted_generation": placed.map(|placed| placed.wanted),
        "accepted_generation": placed.and_then(|placed| placed.accepted),
        "accepted_at": placed.and_then(|placed| placed.accepted_at).map(|at| at.to_string()),
        "last_accepted_at": accepted.map(|call| call.at.to_string()),
        "vendor_request_id": accepted.and_then(|call| call.request_id.as_ref()),
        "observed": seen.state.word(),
        "observed_at": seen.at.map(|at| at.to_string()),
        "dark_since": seen.dark_since.map(|at| at.to_string()),
        "called_at": cdn.and_then(|cdn| cdn.called).map(|at| at.to_string()),
        "last_error": cdn.and_then(|cdn| cdn.last_error.as_ref()).map(error_json),
        "needs_a_person": cdn.is_some_and(|cdn| cdn.to_do.is_some()),
        "to_do": cdn.and_then(|cdn| cdn.to_do.as_ref()),
    });
    put_want(&mut shown, cdn.and_then(|cdn: &CdnReport| cdn.wanted));
    put_next(&mut shown, cdn.map(|cdn| &cdn.next));
    put_shared(&mut shown, cdn.and_then(|cdn| cdn.shared.as_ref()));
    shown
}

fn error_json(error: &LastError) -> Value {
    json!({
        "class": error.class,
        "words": error.words,
        "vendor_request_id": error.request_id,
        "at": error.at.to_string(),
        "failures": error.failures,
        "about_newest": error.about_newest,
    })
}

/// Adds `wanted`, `wanted_until` and `wanted_for_ever`.
fn put_want(shown: &mut Value, want: Option<Want>) {
    let until = match want {
        Some(Want::Banned(until)) => Some(until),
        _ => None,
    };
    let word = want.map(|want| match want {
        Want::Banned(_) => "banned",
        Want::Open(_) => "open",
    });
    let mut put = |name: &str, value: Value| insert(shown, name, value);
    put("wanted", word.into());
    put(
        "wanted_until",
        until.map(|until| until.shown().to_string()).into(),
    );
    put("wanted_for_ever", (until == Some(Until::Lifted)).into());
}

/// Adds `next_attempt`, `next_call` and `next_words`.
pub(in crate::v1) fn put_next(shown: &mut Value, next: Option<&Next>) {
    let mut put = |name: &str, value: Value| insert(shown, name, value);
    let at = next.and_then(|next| next.at);
    put("next_attempt", at.map(|at| at.to_string()).into());
    put("next_call", next.and_then(|next| next.call.clone()).into());
    put("next_words", next.map(|next| next.words.clone()).into());
}

/// Adds `blast_radius`, `shared_with` and `kept_banned`.
pub(in crate::v1) fn put_shared(shown: &mut Value, shared: Option<&Shared>) {
    let with: Vec<Value> = shared.map_or(Vec::new(), |shared| {
        shared.with.iter().map(sharer_json).collect()
    });
    let kept = shared.is_some_and(|shared| shared.kept_banned);
    let words = shared.map(|shared| shared.words.clone());
    insert(shown, "blast_radius", words.into());
    insert(shown, "shared_with", with.into());
    insert(shown, "kept_banned", kept.into());
}

fn sharer_json(sharer: &Sharer) -> Value {
    let mut shown = json!({
        "app_id": sharer.app,
        "target": sharer.target,
        "publish_domain": sharer.publish_domain,
        "rtmp_app": sharer.rtmp_app,
    });
    put_want(&mut shown, sharer.want);
    shown
}

fn insert(shown: &mut Value, name: &str, value: Value) {
    let fields: Option<&mut Map<String, Value>> = shown.as_object_mut();
    if let Some(fields) = fields {
        fields.insert(name.to_owned(), value);
    }
}
