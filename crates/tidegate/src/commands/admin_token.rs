//! `admin-token rotate`: through a running server, or on the files of a stopped one.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::Remote;
use crate::commands::{client, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{files, first_start, output, store::Store};

#[derive(Subcommand, Debug)]
pub(crate) enum AdminTokenCommand {
    /// Make another admin token; the earlier one ends at once
    Rotate(RotateArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Work on the data directory of a stopped server; needs no earlier token
    #[arg(long, conflicts_with = "server")]
    offline: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(command: &AdminTokenCommand, config: &Config) -> Result<Exit, Failure> {
    let AdminTokenCommand::Rotate(args) = command;
    let answer = if args.offline {
        offline(config).await?
    } else {
        client(&args.remote, config)?
            .post(&["admin-token", "rotate"], json!({}))
            .await?
    };
    if args.remote.json {
        output::json(&answer)?;
    } else {
        output::line(&text(&answer, "admin_token"))?;
        output::note("The earlier token is no longer good.");
    }
    Ok(Exit::Done)
}

async fn offline(config: &Config) -> Result<Value, Failure> {
    super::ledger::existing(config)?;
    let store = Store::open(config).await?;
    let token = first_start::new_token()?;
    let path = store.data_dir().join(files::ADMIN_TOKEN);
    // The file first: were only the ledger changed, nobody would have the token.
    let written = first_start::put_away(&path, &format!("{token}\n"));
    let outcome = match written {
        Ok(()) => store
            .ledger()
            .set_admin_token(first_start::digest(&token))
            .await
            .map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    store.close().await;
    outcome.map(|()| json!({"admin_token": token}))
}
