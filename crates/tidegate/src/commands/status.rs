//! `status`, `streams`, `server status` and `clock accept`.

mod targets;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_core::Until;

use crate::cli::{OfApp, Remote};
use crate::commands::decide::standing;
use crate::commands::{checked, client, client_and_app, flag, items, row, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::{self, shown};

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The stream
    stream: String,
    #[command(flatten)]
    of: OfApp,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ServerCommand {
    /// Show version, addresses and standing alarms
    Status(Remote),
}

#[derive(Subcommand, Debug)]
pub(crate) enum ClockCommand {
    /// Say that the wall clock is right; held ends go ahead by it
    Accept(Remote),
}

pub(crate) async fn status(args: &StatusArgs, config: &Config) -> Result<Exit, Failure> {
    let stream = checked(&args.stream)?;
    let (client, app) = client_and_app(&args.of, config).await?;
    let status = client.get(&["apps", &app, "streams", stream]).await?;
    if args.of.remote.json {
        output::json(&status)?;
        return Ok(Exit::Done);
    }
    let mut first = format!("{app}/{stream} is {}", standing(&status));
    if flag(&status, "blocked") && !flag(&status, "recorded") {
        first.push_str(", and not recorded: forbid it again");
    }
    output::line(&first)?;
    output::line(&on_air(status.get("live")))?;
    targets::show(&status)?;
    show_decisions(&status)
}

fn on_air(live: Option<&Value>) -> String {
    match live {
        Some(live) if !live.is_null() => format!(
            "live at the origin since {}, from {}, {} players",
            shown(&text(live, "since")),
            shown(&text(live, "publisher")),
            shown(&text(live, "players"))
        ),
        _ => "not live at the origin".to_owned(),
    }
}

fn show_decisions(status: &Value) -> Result<Exit, Failure> {
    let decisions = items(status, "decisions");
    if decisions.is_empty() {
        return Ok(Exit::Done);
    }
    output::line("")?;
    let no_end = Until::Lifted.shown().to_string();
    let fields = [
        "generation",
        "verb",
        "until",
        "at",
        "by",
        "client",
        "reason",
    ];
    output::table(
        &["#", "decision", "until", "at", "by", "from", "reason"],
        decisions
            .iter()
            .map(|decision| {
                let mut cells = row(decision, &fields);
                if let Some(until) = cells.get_mut(2).filter(|until| **until == no_end) {
                    *until = "lifted".to_owned();
                }
                cells
            })
            .collect(),
        "",
    )?;
    Ok(Exit::Done)
}

pub(crate) async fn streams(of: &OfApp, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(of, config).await?;
    let streams = client.get(&["apps", &app, "streams"]).await?;
    if of.remote.json {
        output::json(&streams)?;
        return Ok(Exit::Done);
    }
    let fields = [
        "stream",
        "publisher",
        "since",
        "video",
        "audio",
        "players",
        "kbps",
    ];
    let rows = items(&streams, "streams").iter().map(|s| row(s, &fields));
    output::table(
        &[
            "stream",
            "publisher",
            "since",
            "video",
            "audio",
            "players",
            "kb/s",
        ],
        rows.collect(),
        "No stream is live.",
    )?;
    Ok(Exit::Done)
}

pub(crate) async fn server(command: &ServerCommand, config: &Config) -> Result<Exit, Failure> {
    let ServerCommand::Status(remote) = command;
    let status = client(remote, config)?.get(&["status"]).await?;
    if remote.json {
        output::json(&status)?;
        return Ok(Exit::Done);
    }
    let listeners = status.get("listeners").unwrap_or(&Value::Null);
    output::pairs(&[
        ("version", text(&status, "version")),
        ("started", text(&status, "started")),
        ("its clock", text(&status, "now")),
        ("ready", text(&status, "ready")),
        ("Apps", text(&status, "apps")),
        ("blocks", text(&status, "blocks")),
        ("RTMP", text(listeners, "rtmp")),
        ("media", text(listeners, "media")),
        ("API", text(listeners, "api")),
    ])?;
    let alarms = items(&status, "alarms");
    if alarms.is_empty() {
        output::line("no alarm")?;
    }
    for alarm in alarms {
        output::line(&format!(
            "ALARM {} since {}: {}",
            shown(&text(alarm, "kind")),
            shown(&text(alarm, "since")),
            shown(&text(alarm, "text"))
        ))?;
    }
    Ok(Exit::Done)
}

pub(crate) async fn clock(command: &ClockCommand, config: &Config) -> Result<Exit, Failure> {
    let ClockCommand::Accept(remote) = command;
    let answer = client(remote, config)?
        .post(&["clock", "accept"], json!({}))
        .await?;
    if remote.json {
        output::json(&answer)?;
    } else {
        output::line("The wall clock counts as right; held ends go ahead by it.")?;
    }
    Ok(Exit::Done)
}
