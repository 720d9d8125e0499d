//! `forbid` and `resume`.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::OfApp;
use crate::commands::{checked, client_and_app, flag, items, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::{self, shown};

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("end").multiple(false))]
pub(crate) struct ForbidArgs {
    /// The stream
    stream: String,
    /// Until this instant, such as 2026-05-01T00:00:00Z
    #[arg(long, value_name = "INSTANT", group = "end")]
    until: Option<String>,
    /// For this long, such as 90s, 30m, 2h or 1d12h
    #[arg(long = "for", value_name = "TIME", group = "end")]
    length: Option<String>,
    /// Until it is lifted; this is the default
    #[arg(long, group = "end")]
    forever: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Decide nothing: say what would be called where, and whom else it would hit
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    of: OfApp,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    /// The stream
    stream: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Decide nothing: say what would be called where, and whom else it would hit
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    of: OfApp,
}

pub(crate) async fn forbid(args: &ForbidArgs, config: &Config) -> Result<Exit, Failure> {
    let mut body = Map::new();
    if let Some(until) = &args.until {
        body.insert("until".into(), json!(until));
    } else if let Some(length) = &args.length {
        body.insert("for".into(), json!(length));
    } else if args.forever {
        body.insert("for_ever".into(), json!(true));
    }
    if args.dry_run {
        body.insert("dry_run".into(), json!(true));
    }
    decide(
        "forbid",
        &args.stream,
        body,
        args.reason.as_deref(),
        &args.of,
        config,
    )
    .await
}

pub(crate) async fn resume(args: &ResumeArgs, config: &Config) -> Result<Exit, Failure> {
    let mut body = Map::new();
    if args.dry_run {
        body.insert("dry_run".into(), json!(true));
    }
    decide(
        "resume",
        &args.stream,
        body,
        args.reason.as_deref(),
        &args.of,
        config,
    )
    .await
}

async fn decide(
    verb: &str,
    stream: &str,
    mut body: Map<String, Value>,
    reason: Option<&str>,
    of: &OfApp,
    config: &Config,
) -> Result<Exit, Failure> {
    let stream = checked(stream)?;
    if let Some(reason) = reason {
        body.insert("reason".into(), json!(reason));
    }
    let (client, app) = client_and_app(of, config).await?;
    let path = ["apps", &app, "streams", stream, verb];
    let answer = client.post(&path, Value::Object(body)).await?;
    if flag(&answer, "dry_run") {
        show_preview(&format!("{app}/{stream}"), &answer, of.remote.json)?;
        return Ok(Exit::Done);
    }
    if of.remote.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("{app}/{stream} is {}", standing(&answer)))?;
        for target in items(&answer, "results") {
            output::line(&format!(
                "  {}: {}: {}",
                shown(&text(target, "vendor")),
                shown(&text(target, "result")),
                shown(&text(target, "words"))
            ))?;
        }
    }
    let everywhere = items(&answer, "results")
        .iter()
        .all(|target| text(target, "result") == "success");
    Ok(if everywhere {
        Exit::Done
    } else {
        Exit::NotEverywhere
    })
}

/// Columns of the CDN's name.
const NAME: usize = 10;

fn show_preview(stream: &str, preview: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(preview);
    }
    output::line(&format!(
        "Dry run, nothing is decided: {stream} would be {}.",
        standing(preview)
    ))?;
    for target in items(preview, "targets") {
        let label = format!("  {}:", text(target, "vendor"));
        let words = match text(target, "account").as_str() {
            "-" => text(target, "next_words"),
            account => format!(
                "{}/{}, account {account}: {}",
                text(target, "publish_domain"),
                text(target, "rtmp_app"),
                call_words(target)
            ),
        };
        output::line(&output::wrapped(&label, NAME + 2, &words))?;
        if let Some(radius) = target.get("blast_radius").and_then(Value::as_str) {
            let words = format!("CAREFUL: {radius}");
            output::line(&output::wrapped("", NAME + 2, &words))?;
        }
    }
    Ok(())
}

/// The call and, where it would not go at once, why.
fn call_words(target: &Value) -> String {
    let (call, words) = (text(target, "next_call"), text(target, "next_words"));
    match call.as_str() {
        "-" => words,
        _ if words.contains(&call) => words,
        _ => format!("{call}; {words}"),
    }
}

/// Whether and until when, in words.
pub(crate) fn standing(answer: &Value) -> String {
    if !flag(answer, "blocked") {
        "not forbidden".to_owned()
    } else if flag(answer, "for_ever") {
        "forbidden until lifted".to_owned()
    } else {
        format!("forbidden until {}", shown(&text(answer, "until")))
    }
}
