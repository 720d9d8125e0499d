//! A stream's state on each CDN: a table to scan, and a paragraph for each CDN with the rest.

use serde_json::Value;

use crate::commands::{flag, items, text};
use crate::exit::Failure;
use crate::output::{self, shown, wrapped};

/// Columns of the labels of a paragraph.
const LABEL: usize = 12;

pub(super) fn show(status: &Value) -> Result<(), Failure> {
    let targets = items(status, "targets");
    output::line("")?;
    output::table(
        &[
            "CDN",
            "target",
            "wanted",
            "accepted",
            "at",
            "observed",
            "next attempt",
        ],
        targets.iter().map(row).collect(),
        "No decision was made on this stream yet.",
    )?;
    let is_at_vendor = |target: &&Value| text(target, "vendor") != "origin";
    for target in targets.iter().filter(is_at_vendor) {
        output::line("")?;
        paragraph(target)?;
    }
    Ok(())
}

fn row(target: &Value) -> Vec<String> {
    let wanted = match (
        text(target, "wanted_generation"),
        text(target, "wanted").as_str(),
    ) {
        (generation, "-") => generation,
        (generation, word) => format!("{generation} {word}"),
    };
    let next = match (text(target, "next_attempt"), is_null(target, "next_call")) {
        (at, _) if at != "-" => at,
        (_, true) => "-".to_owned(),
        (_, false) => "waits, see below".to_owned(),
    };
    vec![
        text(target, "vendor"),
        text(target, "id"),
        wanted,
        text(target, "accepted_generation"),
        text(target, "accepted_at"),
        text(target, "observed"),
        next,
    ]
}

fn paragraph(target: &Value) -> Result<(), Failure> {
    let place = match text(target, "account").as_str() {
        "-" => String::new(),
        account => format!(", account {}", shown(account)),
    };
    output::line(&wrapped(
        "",
        0,
        &format!(
            "{} target {}: {} ({}/{}{place})",
            text(target, "vendor"),
            text(target, "id"),
            headline(target),
            text(target, "publish_domain"),
            text(target, "rtmp_app"),
        ),
    ))?;
    let to_do = target.get("to_do").and_then(Value::as_str);
    let shared = target.get("blast_radius").and_then(Value::as_str);
    let lines = [
        ("  to do", to_do.map(str::to_owned)),
        ("  wanted", wanted(target)),
        ("  accepted", Some(accepted(target))),
        ("  observed", Some(observed(target))),
        ("  next", Some(text(target, "next_words"))),
        ("  last error", last_error(target)),
        ("  shared", shared.map(str::to_owned)),
    ];
    for (label, words) in lines {
        if let Some(words) = words {
            output::line(&wrapped(label, LABEL + 2, &words))?;
        }
    }
    Ok(())
}

/// How it stands, in the fewest words; what needs somebody is in capitals.
fn headline(target: &Value) -> &'static str {
    let behind = match (
        number(target, "wanted_generation"),
        number(target, "accepted_generation"),
    ) {
        (Some(wanted), accepted) => accepted.is_none_or(|accepted| accepted < wanted),
        (None, _) => false,
    };
    let banned = text(target, "wanted") == "banned";
    // What was seen before the acceptance proves nothing about it.
    let seen = match is_stale(target) {
        true => "unknown".to_owned(),
        false => text(target, "observed"),
    };
    match seen.as_str() {
        _ if flag(target, "needs_a_person") => "NEEDS A PERSON",
        _ if is_null(target, "wanted_generation") => "nothing decided",
        _ if behind && flag(target, "leaving") => "being removed, not lifted yet",
        _ if behind => "NOT THERE YET",
        _ if flag(target, "kept_banned") => "open, KEPT BANNED BY ANOTHER BLOCK",
        "live" if banned => "accepted, SEEN LIVE",
        "dark" if banned => "dark",
        _ if banned => "accepted, not seen dark",
        "live" => "open, live",
        _ => "open",
    }
}

fn wanted(target: &Value) -> Option<String> {
    let decision = text(target, "wanted_generation");
    let want = match text(target, "wanted").as_str() {
        "banned" if flag(target, "wanted_for_ever") => "banned until lifted".to_owned(),
        "banned" => format!("banned until {}", text(target, "wanted_until")),
        "open" => "open".to_owned(),
        _ => return None,
    };
    Some(match flag(target, "leaving") {
        true => format!("{want}, since the target is removed"),
        false => format!("{want}, by decision {decision}"),
    })
}

fn accepted(target: &Value) -> String {
    if is_null(target, "accepted_generation") {
        return "nothing yet".to_owned();
    }
    let at = text(target, "accepted_at");
    let mut words = format!("decision {} at {at}", text(target, "accepted_generation"));
    let last = text(target, "last_accepted_at");
    if last != "-" && last != at {
        words.push_str(&format!("; the last call was taken at {last}"));
    }
    match text(target, "vendor_request_id").as_str() {
        "-" => {}
        id => words.push_str(&format!(", vendor's request {id}")),
    }
    words
}

fn observed(target: &Value) -> String {
    let seen = text(target, "observed");
    let at = text(target, "observed_at");
    match (seen.as_str(), at.as_str()) {
        (_, "-") => "unknown: nobody has seen it there".to_owned(),
        ("unknown", at) => format!("unknown: a look at {at} showed nothing that counts"),
        (word, at) if is_stale(target) => {
            let decision = text(target, "accepted_generation");
            format!("{word} at {at}, before decision {decision} was accepted")
        }
        (word, at) => match text(target, "dark_since").as_str() {
            "-" => format!("{word} at {at}"),
            since if since >= at => format!("{word} at {at}"),
            since => format!("{word} at {at}, first seen dark at {since}"),
        },
    }
}

fn last_error(target: &Value) -> Option<String> {
    let error = target.get("last_error").filter(|error| !error.is_null())?;
    let failures = match number(error, "failures") {
        Some(1) | None => "1 failure".to_owned(),
        Some(n) => format!("{n} failures in a row"),
    };
    let mut words = format!(
        "{failures} (class {}), the last at {}: {}",
        text(error, "class"),
        text(error, "at"),
        text(error, "words")
    );
    let id = text(error, "vendor_request_id");
    if id != "-" && !words.contains(&id) {
        words.push_str(&format!(" (request {id})"));
    }
    if !flag(error, "about_newest") {
        words.push_str(" (of an earlier decision)");
    }
    Some(words)
}

/// Whether what is observed was seen before the CDN accepted its newest decision.
fn is_stale(target: &Value) -> bool {
    let (seen, accepted) = (text(target, "observed_at"), text(target, "accepted_at"));
    seen != "-" && accepted != "-" && seen < accepted
}

fn is_null(target: &Value, name: &str) -> bool {
    target.get(name).is_none_or(Value::is_null)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}
