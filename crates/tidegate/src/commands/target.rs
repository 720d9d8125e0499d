//! `target`: where an App's streams live.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::{OfApp, Remote};
use crate::commands::account::{show_trial, warn};
use crate::commands::{checked, client, client_and_app, flag, items, secret, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidegate target add --vendor aliyun --account main --publish-domain push.example.com \\
      --play-domain play.example.com --play-url https://play.example.com/live/{stream}.flv
  tidegate target test 2 --stream cam-7
  tidegate target remove 2";

#[derive(Subcommand, Debug)]
pub(crate) enum TargetCommand {
    /// Add a place at a CDN; every standing block of the App is carried there
    #[command(after_help = EXAMPLES)]
    Add(Box<AddArgs>),
    /// List the targets of an App, or of all
    List(OfApp),
    /// Ask the vendor harmless questions about a target, and say in words what is wrong
    Test(TestArgs),
    /// Remove a target; what is banned there is let go first
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Whose CDN: ws, aliyun, tencent or huawei; the account's
    #[arg(long)]
    vendor: String,
    /// The account that may ban there
    #[arg(long, value_name = "NAME")]
    account: String,
    /// Where publishers push to
    #[arg(long, value_name = "DOMAIN")]
    publish_domain: String,
    /// Where players pull from; Alibaba Cloud lists bans by it
    #[arg(long, value_name = "DOMAIN")]
    play_domain: Option<String>,
    /// RTMP app name there [default: live]
    #[arg(long, value_name = "APP")]
    rtmp_app: Option<String>,
    /// Play URL with {stream} where the name goes, to look at; may be given several times
    #[arg(long = "play-url", value_name = "TEMPLATE")]
    play_urls: Vec<String>,
    /// File with the key that signs play URLs, by the vendor's recipe
    #[arg(long, value_name = "FILE")]
    play_key_file: Option<PathBuf>,
    #[command(flatten)]
    of: OfApp,
}

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// The target's number
    #[arg(value_name = "ID")]
    id: u32,
    /// A stream to ask after and to look at
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The target's number
    #[arg(value_name = "ID")]
    id: u32,
    /// Leave what is banned there banned
    #[arg(long)]
    keep_bans: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(command: &TargetCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        TargetCommand::Add(args) => add(args, config).await,
        TargetCommand::List(of) => list(of, config).await,
        TargetCommand::Test(args) => test(args, config).await,
        TargetCommand::Remove(args) => remove(args, config).await,
    }
}

async fn add(args: &AddArgs, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(&args.of, config).await?;
    let key = args.play_key_file.as_deref().map(secret::from_file);
    let key = key.transpose()?;
    if key.is_some() {
        client.may_carry_secrets()?;
    }
    let body = json!({
        "vendor": args.vendor,
        "account": args.account,
        "publish_domain": args.publish_domain,
        "play_domain": args.play_domain,
        "rtmp_app": args.rtmp_app,
        "play_urls": args.play_urls,
        "play_key": key.as_ref().map(|key| key.expose()),
    });
    let added = client.post(&["apps", &app, "targets"], body).await?;
    if args.of.remote.json {
        output::json(&added)?;
    } else {
        let blocks = match text(&added, "blocks").as_str() {
            "0" => "none stands".to_owned(),
            "1" => "1 is carried there".to_owned(),
            count => format!("{count} are carried there"),
        };
        output::pairs(&[
            ("target", text(&added, "id")),
            ("App", text(&added, "app_id")),
            ("CDN", text(&added, "vendor")),
            ("account", text(&added, "account")),
            ("publish domain", text(&added, "publish_domain")),
            ("play domain", text(&added, "play_domain")),
            ("RTMP app", text(&added, "rtmp_app")),
            ("standing blocks", blocks),
        ])?;
    }
    warn(&added);
    Ok(Exit::Done)
}

async fn list(of: &OfApp, config: &Config) -> Result<Exit, Failure> {
    let client = client(&of.remote, config)?;
    let targets = match of.app_id {
        Some(app) => client.get(&["apps", &app.to_string(), "targets"]).await?,
        None => client.get(&["targets"]).await?,
    };
    if of.remote.json {
        output::json(&targets)?;
        return Ok(Exit::Done);
    }
    let rows = items(&targets, "targets").iter().map(|target| {
        let state = match flag(target, "leaving") {
            true => "leaving: bans are being lifted",
            false => "in use",
        };
        let acts_on = match target.get("blast_radius") {
            None | Some(Value::Null) => "the stream",
            Some(_) => "the name, anywhere in the account",
        };
        vec![
            text(target, "id"),
            text(target, "app_id"),
            text(target, "vendor"),
            text(target, "account"),
            text(target, "publish_domain"),
            text(target, "play_domain"),
            text(target, "rtmp_app"),
            items(target, "play_urls").len().to_string(),
            acts_on.to_owned(),
            state.to_owned(),
        ]
    });
    output::table(
        &[
            "target",
            "App",
            "CDN",
            "account",
            "publish domain",
            "play domain",
            "RTMP app",
            "play URLs",
            "a ban acts on",
            "state",
        ],
        rows.collect(),
        "There is no target.",
    )?;
    Ok(Exit::Done)
}

async fn test(args: &TestArgs, config: &Config) -> Result<Exit, Failure> {
    let stream = args.stream.as_deref().map(checked).transpose()?;
    let client = client(&args.remote, config)?;
    let path = ["targets", &args.id.to_string(), "test"];
    let tried = client.post(&path, json!({ "stream": stream })).await?;
    show_trial(&tried, args.remote.json)
}

async fn remove(args: &RemoveArgs, config: &Config) -> Result<Exit, Failure> {
    let client = client(&args.remote, config)?;
    let id = args.id.to_string();
    let query: &[(&str, &str)] = match args.keep_bans {
        true => &[("keep_bans", "true")],
        false => &[],
    };
    let removed = client.delete(&["targets", &id], query).await?;
    if args.remote.json {
        output::json(&removed)?;
        return Ok(Exit::Done);
    }
    if flag(&removed, "leaving") {
        let bans = match text(&removed, "bans_to_lift").as_str() {
            "1" => "1 ban is".to_owned(),
            count => format!("{count} bans are"),
        };
        return output::line(&format!(
            "Target {id} is leaving: {bans} still to be lifted there; `tidegate target list` \
             shows it until then."
        ))
        .map(|()| Exit::Done);
    }
    output::line(&match args.keep_bans {
        true => format!("Target {id} is gone; what is banned there stays banned."),
        false => format!("Target {id} is gone, and nothing is left banned there."),
    })?;
    Ok(Exit::Done)
}
