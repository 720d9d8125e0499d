//! `ledger`: backup, restore, confirm. Through a running server, or on the files of a stopped one.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_ledger::{Address, LedgerUrl, OpenOptions};

use crate::cli::Remote;
use crate::client::is_down;
use crate::commands::{client, items};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::files::{self, wall_clock};
use crate::store::{self, Store};
use crate::{first_start, output};

const KEY_NOTE: &str = "The key file (secrets.key, or secrets.key_file) is not part of a backup: \
                        keep a copy of it elsewhere.";

#[derive(Subcommand, Debug)]
pub(crate) enum LedgerCommand {
    /// Write a consistent copy to a new file on the server's machine
    ///
    /// The copy does not hold the key file, and is of no use without it: keep both, apart.
    Backup(FileArgs),
    /// Put a backup in the place of the ledger
    ///
    /// Decisions made since are not in it, so resumes and scheduled ends are held until
    /// `tidegate ledger confirm`.
    Restore(RestoreArgs),
    /// Copy a whole ledger into an empty directory or database, with its servers stopped
    #[command(
        after_help = "Example:\n  tidegate ledger copy --from /var/lib/tidegate --to \
        postgres://tidegate@db/tidegate\n\nWithout --from or --to, the ledger of the configuration is \
        meant. The key of a PostgreSQL\nledger is in the data directory."
    )]
    Copy(CopyArgs),
    /// Let held resumes and ends go ahead after a restore
    Confirm(Remote),
}

#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct Ends {
    /// Data directory or postgres:// URL to copy from
    #[arg(long, value_name = "URL|DIR")]
    from: Option<String>,
    /// Data directory or postgres:// URL to copy to
    #[arg(long, value_name = "URL|DIR")]
    to: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    ends: Ends,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    from: FileArgs,
}

pub(crate) async fn run(command: &LedgerCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        LedgerCommand::Backup(args) => backup(args, config).await,
        LedgerCommand::Restore(args) => restore(args, config).await,
        LedgerCommand::Copy(args) => copy(args, config).await,
        LedgerCommand::Confirm(remote) => confirm(remote, config).await,
    }
}

async fn backup(args: &FileArgs, config: &Config) -> Result<Exit, Failure> {
    let file = std::path::absolute(&args.file)?;
    let asked = ask(&args.remote, config, "backup", &file).await;
    match asked {
        Err(failure) if may_work_offline(&failure, &args.remote) => {
            let store = open(config, failure).await?;
            let outcome = store.ledger().backup(&file).await;
            store.close().await;
            outcome?;
        }
        other => {
            other?;
        }
    }
    if args.remote.json {
        output::json(&json!({"path": file}))?;
    } else {
        output::line(&format!("The ledger was copied to {}", file.display()))?;
        output::note(KEY_NOTE);
    }
    Ok(Exit::Done)
}

async fn restore(args: &RestoreArgs, config: &Config) -> Result<Exit, Failure> {
    let file = std::path::absolute(&args.from.file)?;
    if !args.yes {
        ask_first(&file)?;
    }
    let remote = &args.from.remote;
    let answer = match ask(remote, config, "restore", &file).await {
        Err(failure) if may_work_offline(&failure, remote) => {
            let replaced = restore_offline(config, &file, &failure).await?;
            json!({"path": file, "replaced": replaced, "resumes_held": true})
        }
        other => other?,
    };
    if remote.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("The ledger was restored from {}", file.display()))?;
        if let Some(replaced) = answer.get("replaced").and_then(Value::as_str) {
            output::note(&format!(
                "The replaced ledger is kept in {}",
                output::shown(replaced)
            ));
        }
        output::note(
            "Resumes and scheduled ends are held: compare `tidegate blocks` with what should be \
             off the air, then run `tidegate ledger confirm`.",
        );
    }
    Ok(Exit::Done)
}

async fn copy(args: &CopyArgs, config: &Config) -> Result<Exit, Failure> {
    let from = end("--from", args.ends.from.as_deref(), config)?;
    let to = end("--to", args.ends.to.as_deref(), config)?;
    let copied = tidegate_ledger::copy(&from, &to).await?;
    let head = &copied.head;
    if args.json {
        output::json(&json!({
            "length": head.length,
            "hash": head.hash,
            "rows": copied.rows,
            "resealed": copied.resealed,
        }))?;
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "The ledger was copied: {} rows, audit head {}:{}, verified before and after.",
        copied.rows.values().sum::<u64>(),
        head.length,
        head.hash
    ))?;
    if copied.resealed {
        output::note("Its secrets were sealed anew with the key of the copy.");
    }
    output::note("The ledger that was copied is as it was: start no server on it any more.");
    Ok(Exit::Done)
}

/// A directory has its key inside, unless it is the one of the configuration.
fn end(flag: &str, given: Option<&str>, config: &Config) -> Result<Address, Failure> {
    match given {
        None => Ok(store::address(config)),
        Some(text) if text.contains("://") => {
            let url = LedgerUrl::parse(text)
                .map_err(|wrong| Failure::usage(format!("{flag}: {wrong}, or a data directory")))?;
            Ok(Address::Postgres(url, store::open_options(config)))
        }
        Some(dir) if Path::new(dir) == config.data_dir => {
            Ok(Address::Directory(store::open_options(config)))
        }
        Some(dir) => Ok(Address::Directory(OpenOptions::new(dir))),
    }
}

fn ask_first(file: &Path) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "a restore replaces the ledger; say --yes if that is meant",
        ));
    }
    output::note(&format!(
        "This replaces the ledger by {}: decisions made since are lost. Go on? [y/N]",
        file.display()
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was changed"))
    }
}

async fn confirm(remote: &Remote, config: &Config) -> Result<Exit, Failure> {
    let answer = client(remote, config)?
        .post(&["ledger", "confirm"], json!({}))
        .await?;
    if remote.json {
        output::json(&answer)?;
        return Ok(Exit::Done);
    }
    let opened = items(&answer, "opened");
    output::line(&format!(
        "Confirmed; streams that held resumes opened: {}",
        opened.len()
    ))?;
    for stream in opened.iter().filter_map(Value::as_str) {
        output::line(&format!("  {}", output::shown(stream)))?;
    }
    Ok(Exit::Done)
}

/// Asks the server to work on a file of its machine.
async fn ask(remote: &Remote, config: &Config, verb: &str, file: &Path) -> Result<Value, Failure> {
    let Some(path) = file.to_str() else {
        return Err(Failure::usage(format!(
            "the path {} is not UTF-8",
            file.display()
        )));
    };
    client(remote, config)?
        .post(&["ledger", verb], json!({"path": path}))
        .await
}

/// A server that was named is the one that is meant; the files here may be those of another.
fn may_work_offline(failure: &Failure, remote: &Remote) -> bool {
    is_down(failure) && remote.server.is_none()
}

async fn open(config: &Config, down: Failure) -> Result<Store, Failure> {
    existing(config).map_err(|absent| Failure::new(down.exit, absent.words))?;
    Ok(Store::open(config).await?)
}

/// Refuses a directory without a ledger, so that a mistyped one is not made.
pub(super) fn existing(config: &Config) -> Result<(), Failure> {
    let file = config.data_dir.join("ledger.db");
    if file.exists() || (config.ledger.url.is_some() && config.data_dir.is_dir()) {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "there is no ledger in {}; name the server's data directory with --data-dir",
        config.data_dir.display()
    )))
}

/// Returns where the replaced ledger is kept, if there was one.
async fn restore_offline(
    config: &Config,
    file: &Path,
    down: &Failure,
) -> Result<Option<PathBuf>, Failure> {
    // An empty directory is right: that is how a ledger comes to another machine.
    if !config.data_dir.is_dir() {
        return Err(Failure::failed(format!(
            "{}, and there is no directory {} to restore into",
            down.words,
            config.data_dir.display()
        )));
    }
    let options = store::open_options(config);
    let restored = match &config.ledger.url {
        None => tidegate_ledger::restore(&options, file, wall_clock()).await?,
        Some(url) => tidegate_ledger::restore_postgres(url, &options, file, wall_clock()).await?,
    };
    // The token that opened this server goes on opening it, whatever the backup holds.
    if let Ok(token) = std::fs::read_to_string(config.data_dir.join(files::ADMIN_TOKEN)) {
        let store = Store::open(config).await?;
        let kept = store
            .ledger()
            .set_admin_token(first_start::digest(token.trim_end()))
            .await;
        store.close().await;
        kept?;
    }
    Ok(restored.replaced)
}
