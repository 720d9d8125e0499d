//! `app`: Apps and their secrets.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::cli::{OfApp, Remote};
use crate::commands::{client, client_and_app, items, row, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Subcommand, Debug)]
pub(crate) enum AppCommand {
    /// Make an App and print its secrets, once
    Create(CreateArgs),
    /// List all Apps
    List(Remote),
    /// Show one App
    Show(OfApp),
    /// Make another ServerSecret; the earlier one stays good for 24 hours
    RotateSecret(RotateArgs),
    /// Make another publish key; URLs signed with the earlier one stay good until the next
    RotatePublishKey(RotateArgs),
    /// Refuse an App's calls and cut its streams
    Disable(OfApp),
    /// Let a disabled App go on
    Enable(OfApp),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// RTMP app name [default: live for the first App, the AppId for later ones]
    #[arg(long, value_name = "APP")]
    rtmp_app: Option<String>,
    /// What a publish URL needs [default: signed]
    #[arg(long, value_enum)]
    publish_auth: Option<PublishAuth>,
    /// Whether a nonce is bound to one request [default: bind]
    #[arg(long, value_enum)]
    nonce: Option<Nonce>,
    /// How long a forbid without ResumeTime lasts, such as 1d12h [default: the server's]
    #[arg(long, value_name = "TIME")]
    default_forbid: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum PublishAuth {
    Signed,
    None,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Nonce {
    Bind,
    Compatible,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// End the earlier one at once
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    of: OfApp,
}

pub(crate) async fn run(command: &AppCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        AppCommand::Create(args) => create(args, config).await,
        AppCommand::List(remote) => list(remote, config).await,
        AppCommand::Show(of) => {
            let (client, app) = client_and_app(of, config).await?;
            show(&client.get(&["apps", &app]).await?, of.remote.json)
        }
        AppCommand::RotateSecret(args) => rotate(args, config).await,
        AppCommand::RotatePublishKey(args) => rotate_publish_key(args, config).await,
        AppCommand::Disable(of) => switch(of, "disable", config).await,
        AppCommand::Enable(of) => switch(of, "enable", config).await,
    }
}

async fn create(args: &CreateArgs, config: &Config) -> Result<Exit, Failure> {
    let word = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    let mut body = json!({
        "name": word(args.name.as_deref()),
        "rtmp_app": word(args.rtmp_app.as_deref()),
        "publish_auth": word(args.publish_auth.map(|auth| match auth {
            PublishAuth::Signed => "signed",
            PublishAuth::None => "none",
        })),
        "nonce": word(args.nonce.map(|nonce| match nonce {
            Nonce::Bind => "bind",
            Nonce::Compatible => "compatible",
        })),
        "default_forbid": word(args.default_forbid.as_deref()),
    });
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let made = client(&args.remote, config)?.post(&["apps"], body).await?;
    if args.remote.json {
        output::json(&made)?;
    } else {
        output::pairs(&[
            ("App", text(&made, "app_id")),
            ("name", text(&made, "name")),
            ("RTMP app", text(&made, "rtmp_app")),
            ("ServerSecret", text(&made, "server_secret")),
            ("CallbackSecret", text(&made, "callback_secret")),
            ("publish key", text(&made, "publish_key")),
        ])?;
        output::note("Put the secrets away: they are not shown again.");
    }
    Ok(Exit::Done)
}

async fn list(remote: &Remote, config: &Config) -> Result<Exit, Failure> {
    let apps = client(remote, config)?.get(&["apps"]).await?;
    if remote.json {
        output::json(&apps)?;
        return Ok(Exit::Done);
    }
    let fields = [
        "app_id",
        "name",
        "rtmp_app",
        "publish_auth",
        "disabled",
        "created",
    ];
    let rows = items(&apps, "apps").iter().map(|app| row(app, &fields));
    output::table(
        &[
            "App",
            "name",
            "RTMP app",
            "publish auth",
            "disabled",
            "made",
        ],
        rows.collect(),
        "There is no App; make one with `tidegate app create`.",
    )?;
    Ok(Exit::Done)
}

fn show(app: &Value, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        output::json(app)?;
        return Ok(Exit::Done);
    }
    let default_forbid = match app.get("default_forbid") {
        None | Some(Value::Null) => "the server's".to_owned(),
        Some(_) => text(app, "default_forbid"),
    };
    output::pairs(&[
        ("App", text(app, "app_id")),
        ("name", text(app, "name")),
        ("RTMP app", text(app, "rtmp_app")),
        ("disabled", text(app, "disabled")),
        ("made", text(app, "created")),
        ("publish auth", text(app, "publish_auth")),
        ("nonces", text(app, "nonce")),
        ("default forbid", default_forbid),
        ("ServerSecrets", text(app, "secrets")),
    ])?;
    Ok(Exit::Done)
}

async fn rotate(args: &RotateArgs, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(&args.of, config).await?;
    let path = ["apps", &app, "rotate-secret"];
    let rotated = client.post(&path, json!({"now": args.now})).await?;
    if args.of.remote.json {
        output::json(&rotated)?;
    } else {
        output::pairs(&[
            ("App", text(&rotated, "app_id")),
            ("ServerSecret", text(&rotated, "server_secret")),
            ("earlier ones end", text(&rotated, "earlier_ends")),
        ])?;
        output::note("Put the secret away: it is not shown again.");
    }
    Ok(Exit::Done)
}

async fn rotate_publish_key(args: &RotateArgs, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(&args.of, config).await?;
    let path = ["apps", &app, "rotate-publish-key"];
    let rotated = client.post(&path, json!({"now": args.now})).await?;
    if args.of.remote.json {
        output::json(&rotated)?;
    } else {
        output::pairs(&[
            ("App", text(&rotated, "app_id")),
            ("publish key", text(&rotated, "publish_key")),
            ("earlier one kept", text(&rotated, "earlier_kept")),
        ])?;
        output::note("Put the key away: it is not shown again.");
    }
    Ok(Exit::Done)
}

async fn switch(of: &OfApp, verb: &str, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(of, config).await?;
    let answer = client.post(&["apps", &app, verb], json!({})).await?;
    if of.remote.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("App {app} is {verb}d."))?;
    }
    Ok(Exit::Done)
}
