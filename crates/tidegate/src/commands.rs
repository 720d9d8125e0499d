//! One module a group of commands. Here: what they share.

pub(crate) mod account;
pub(crate) mod admin_token;
pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod blocks;
pub(crate) mod config;
pub(crate) mod decide;
pub(crate) mod ledger;
pub(crate) mod publish_url;
mod secret;
pub(crate) mod sign;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod target;

use serde_json::Value;
use tidegate_core::{AppId, StreamId};

use crate::cli::{Cli, Command, OfApp, Remote};
use crate::client::Client;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::shown;

/// Does what was asked.
pub(crate) async fn run(cli: &Cli, config: &Config) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Serve | Command::Sim(_) | Command::Config(_) | Command::Completions { .. } => {
            Ok(Exit::Done)
        }
        Command::Forbid(args) => decide::forbid(args, config).await,
        Command::Resume(args) => decide::resume(args, config).await,
        Command::Status(args) => status::status(args, config).await,
        Command::Streams(args) => status::streams(args, config).await,
        Command::Blocks(args) => blocks::blocks(args, config).await,
        Command::PublishUrl(args) => publish_url::publish_url(args, config).await,
        Command::Sign(args) => sign::sign(args, config).await,
        Command::App(command) => app::run(command, config).await,
        Command::Account(command) => account::run(command, config).await,
        Command::Target(command) => target::run(command, config).await,
        Command::Audit(command) => audit::run(command, config).await,
        Command::Ledger(command) => ledger::run(command, config).await,
        Command::Clock(command) => status::clock(command, config).await,
        Command::AdminToken(command) => admin_token::run(command, config).await,
        Command::Server(command) => status::server(command, config).await,
    }
}

/// A client for the server that the flags and the configuration point to.
fn client(remote: &Remote, config: &Config) -> Result<Client, Failure> {
    Client::find(remote, &config.data_dir)
}

/// A client, and the App that is meant.
async fn client_and_app(of: &OfApp, config: &Config) -> Result<(Client, String), Failure> {
    let client = client(&of.remote, config)?;
    let app = match of.app_id {
        Some(id) => id,
        None => only_app(&client).await?,
    };
    Ok((client, app.to_string()))
}

async fn only_app(client: &Client) -> Result<AppId, Failure> {
    let apps = client.get(&["apps"]).await?;
    let apps = apps.as_array().map(Vec::as_slice).unwrap_or_default();
    match apps {
        [app] => AppId::parse(&text(app, "app_id")).ok_or_else(|| {
            Failure::failed("the server named its App in a way that is not understood")
        }),
        [] => Err(Failure::failed(
            "there is no App; make one with `tidegate app create`",
        )),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|app| format!("{} ({})", text(app, "app_id"), shown(&text(app, "name"))))
                .collect();
            Err(Failure::usage(format!(
                "there is more than one App; choose one with --app-id: {}",
                names.join(", ")
            )))
        }
    }
}

/// Refuses what no stream can be called, before it gets anywhere near a URL.
fn checked(stream: &str) -> Result<&str, Failure> {
    match StreamId::check(stream) {
        Ok(()) => Ok(stream),
        Err(error) => Err(Failure::usage(format!(
            "{:?} is not a stream id: {error}",
            shown(stream)
        ))),
    }
}

/// A field as text: `-` if it is absent or null, `yes` or `no` for a flag.
fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The elements of an array field, or of the value itself.
fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.as_array().or_else(|| value.get(name)?.as_array());
    list.map(Vec::as_slice).unwrap_or_default()
}

/// One row of a table: these fields of `value`.
fn row(value: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().map(|name| text(value, name)).collect()
}

/// Whether a field is `true`.
fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}
