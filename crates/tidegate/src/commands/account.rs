//! `account`: credentials at CDN vendors.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::Remote;
use crate::commands::secret::{self, SecretArgs};
use crate::commands::{client, flag, items, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::{self, shown};

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidegate account add --vendor aliyun --name main --access-key-id LTAI5t --secret-file ./key
  pass show huawei | tidegate account add --vendor huawei --name hw --access-key-id HUAW \\
      --region cn-north-4 --project-id 0123abcd --secret-stdin
  tidegate account test main
  tidegate account rotate main --access-key-id LTAI6u --secret-file ./new-key";

#[derive(Subcommand, Debug)]
pub(crate) enum AccountCommand {
    /// Add an account; its secret is sealed in the ledger and never shown
    #[command(after_help = EXAMPLES)]
    Add(Box<AddArgs>),
    /// List all accounts, and how each fares
    List(Remote),
    /// Ask the vendor a harmless question, and say in words what is wrong
    Test(NamedArgs),
    /// Give an account another key; what the earlier one was refused is tried again
    Rotate(RotateArgs),
    /// Remove an account that no target uses
    Remove(NamedArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Whose: ws, aliyun, tencent or huawei
    #[arg(long)]
    vendor: String,
    /// A name for it here
    #[arg(long)]
    name: String,
    /// Access key id; at Tencent the SecretId, at Wangsu with --auth api-key the account
    #[arg(long, value_name = "ID")]
    access_key_id: String,
    #[command(flatten)]
    secret: SecretArgs,
    /// File with the token of temporary credentials
    #[arg(long, value_name = "FILE")]
    security_token_file: Option<PathBuf>,
    /// Signature scheme: cnc-hmac-sha256 or api-key, acs3-hmac-sha256 or rpc-v1,
    /// tc3-hmac-sha256, sdk-hmac-sha256 [default: the vendor's current one]
    #[arg(long, value_name = "SCHEME")]
    auth: Option<String>,
    /// Where the API is, an https:// URL [default: the vendor's]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Region of the publish domains; needed at Huawei
    #[arg(long)]
    region: Option<String>,
    /// Project id of that region; needed at Huawei
    #[arg(long, value_name = "ID")]
    project_id: Option<String>,
    /// Tencent's support has switched on strict matching for this account
    ///
    /// Without it Tencent compares the stream name alone, under every domain and app of the
    /// account. The other vendors always compare all three.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args, Debug)]
pub(crate) struct NamedArgs {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    remote: Remote,
}

/// The account, with or without `--name`.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Name {
    /// The account
    #[arg(value_name = "NAME")]
    account: Option<String>,
    /// The account
    #[arg(long, value_name = "NAME", hide = true)]
    name: Option<String>,
}

impl Name {
    /// Refuses what cannot be part of an address.
    fn checked(&self) -> Result<&str, Failure> {
        let name = self.account.as_deref().or(self.name.as_deref());
        match name.unwrap_or_default() {
            "" | "." | ".." => Err(Failure::usage("that is not the name of an account")),
            name => Ok(name),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    name: Name,
    /// Its access key id [default: the one it has]
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// File with the token of temporary credentials; an earlier token does not stay
    #[arg(long, value_name = "FILE")]
    security_token_file: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(command: &AccountCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        AccountCommand::Add(args) => add(args, config).await,
        AccountCommand::List(remote) => list(remote, config).await,
        AccountCommand::Test(args) => test(args, config).await,
        AccountCommand::Rotate(args) => rotate(args, config).await,
        AccountCommand::Remove(args) => remove(args, config).await,
    }
}

async fn add(args: &AddArgs, config: &Config) -> Result<Exit, Failure> {
    let client = client(&args.remote, config)?;
    client.may_carry_secrets()?;
    let token = args.security_token_file.as_deref().map(secret::from_file);
    let token = token.transpose()?;
    let body = json!({
        "vendor": args.vendor,
        "name": args.name,
        "access_key_id": args.access_key_id,
        "secret": args.secret.read()?.expose(),
        "security_token": token.as_ref().map(|token| token.expose()),
        "auth": args.auth,
        "endpoint": args.endpoint,
        "region": args.region,
        "project_id": args.project_id,
        "strict": args.strict,
    });
    let added = client.post(&["accounts"], body).await?;
    show(&added, &args.remote)?;
    if !args.remote.json {
        let name = shown(&args.name);
        output::note(&format!("Try it with `tidegate account test {name}`."));
    }
    Ok(Exit::Done)
}

async fn rotate(args: &RotateArgs, config: &Config) -> Result<Exit, Failure> {
    let client = client(&args.remote, config)?;
    client.may_carry_secrets()?;
    let name = args.name.checked()?;
    let token = args.security_token_file.as_deref().map(secret::from_file);
    let token = token.transpose()?;
    let body = json!({
        "access_key_id": args.access_key_id,
        "secret": args.secret.read()?.expose(),
        "security_token": token.as_ref().map(|token| token.expose()),
    });
    let rotated = client.post(&["accounts", name, "rotate"], body).await?;
    show(&rotated, &args.remote)?;
    Ok(Exit::Done)
}

fn show(account: &Value, remote: &Remote) -> Result<(), Failure> {
    if remote.json {
        return output::json(account);
    }
    output::pairs(&[
        ("account", text(account, "name")),
        ("CDN", text(account, "vendor")),
        ("access key id", text(account, "access_key_id")),
        ("signs by", text(account, "auth")),
        ("endpoint", text(account, "endpoint")),
        ("region", text(account, "region")),
        ("project id", text(account, "project_id")),
        ("strict matching", text(account, "strict")),
        ("key replaced", text(account, "rotated")),
    ])
}

async fn list(remote: &Remote, config: &Config) -> Result<Exit, Failure> {
    let accounts = client(remote, config)?.get(&["accounts"]).await?;
    if remote.json {
        output::json(&accounts)?;
        return Ok(Exit::Done);
    }
    let rows = items(&accounts, "accounts").iter().map(|account| {
        let state = account.get("state").unwrap_or(&Value::Null);
        vec![
            text(account, "name"),
            text(account, "vendor"),
            text(account, "access_key_id"),
            text(account, "auth"),
            text(account, "endpoint"),
            text(account, "region"),
            text(account, "strict"),
            targets(account),
            text(state, "pending"),
            fares(state),
            fullest(state),
            last_error(state),
        ]
    });
    output::table(
        &[
            "account",
            "CDN",
            "key id",
            "signs by",
            "endpoint",
            "region",
            "strict",
            "targets",
            "pending",
            "fares",
            "most spent",
            "last error",
        ],
        rows.collect(),
        "There is no account; add one with `tidegate account add`.",
    )?;
    Ok(Exit::Done)
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn targets(account: &Value) -> String {
    match number(account, "leaving") {
        0 => text(account, "targets"),
        leaving => format!("{} and {leaving} leaving", text(account, "targets")),
    }
}

/// What holds an account back, in words.
fn fares(state: &Value) -> String {
    if state.is_null() {
        return "-".to_owned();
    }
    let mut words = Vec::new();
    if flag(state, "breaker_open") {
        words.push("pauses after failures".to_owned());
    }
    for (name, what) in [("refused", "refused"), ("list_full", "without room")] {
        let count = number(state, name);
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
    match words.as_slice() {
        [] => "well".to_owned(),
        words => words.join(", "),
    }
}

/// The limit of which the largest part is spent, unless hardly any is.
fn fullest(state: &Value) -> String {
    let spent = items(state, "limits").iter().filter_map(|limit| {
        let (used, most) = (number(limit, "used"), number(limit, "of"));
        let part = used.saturating_mul(1000).checked_div(most)?;
        (part >= 100).then(|| (part, format!("{used} of {most} {}", text(limit, "limit"))))
    });
    let fullest = spent.max_by_key(|(part, _)| *part);
    fullest.map_or_else(|| "-".to_owned(), |(_, words)| words)
}

fn last_error(state: &Value) -> String {
    match state.get("last_error") {
        Some(error) if !error.is_null() => {
            format!("{}: {}", text(error, "at"), text(error, "words"))
        }
        _ => "-".to_owned(),
    }
}

async fn test(args: &NamedArgs, config: &Config) -> Result<Exit, Failure> {
    let client = client(&args.remote, config)?;
    let name = args.name.checked()?;
    let tried = client.post(&["accounts", name, "test"], json!({})).await?;
    show_trial(&tried, args.remote.json)
}

/// Prints what a trial showed, one check a line; anything wrong is exit code 1.
pub(crate) fn show_trial(tried: &Value, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        output::json(tried)?;
    } else {
        for check in items(tried, "checks") {
            let mark = if flag(check, "ok") { "fine" } else { "WRONG" };
            let request = match check.get("request_id").and_then(Value::as_str) {
                Some(id) => format!(", request {}", shown(id)),
                None => String::new(),
            };
            output::line(&format!(
                "{mark}: {}: {} ({} ms{request})",
                shown(&text(check, "what")),
                tidegate_core::text::printable(&text(check, "words"), 1000),
                text(check, "took_ms"),
            ))?;
        }
    }
    warn(tried);
    Ok(if flag(tried, "ok") {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// What an answer warns of, for people.
pub(crate) fn warn(answer: &Value) {
    for warning in items(answer, "warnings") {
        let words = warning.as_str().unwrap_or_default();
        output::note(&format!("warning: {}", shown(words)));
    }
}

async fn remove(args: &NamedArgs, config: &Config) -> Result<Exit, Failure> {
    let client = client(&args.remote, config)?;
    let name = args.name.checked()?;
    let removed = client.delete(&["accounts", name], &[]).await?;
    if args.remote.json {
        output::json(&removed)?;
    } else {
        output::line(&format!("Account {} is removed.", shown(name)))?;
    }
    Ok(Exit::Done)
}
