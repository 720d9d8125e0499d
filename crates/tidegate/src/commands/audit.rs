//! `audit`: the hash chain, read from the ledger itself, with the server up or down.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_ledger::{Head, Verdict};

use crate::cli::Remote;
use crate::commands::{client, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::{output, store};

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Recompute the chain from the ledger; exit code 3 if it does not hold
    #[command(
        after_help = "Example:\n  tidegate audit head > /safe/elsewhere/head\n  \
        tidegate audit verify --head /safe/elsewhere/head"
    )]
    Verify(VerifyArgs),
    /// Print the head of the chain, to keep elsewhere
    Head(Remote),
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// A head that the chain must contain: LENGTH:HASH, or a file that holds it
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: &AuditCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify(args) => verify(args, config).await,
        AuditCommand::Head(remote) => head(remote, config).await,
    }
}

async fn verify(args: &VerifyArgs, config: &Config) -> Result<Exit, Failure> {
    let expected = args.head.as_deref().map(read_head).transpose()?;
    let verdict = store::verify(config, expected.as_ref()).await?;
    let (exit, value, words) = match verdict {
        Verdict::Intact(head) => (
            Exit::Done,
            json!({"intact": true, "length": head.length, "hash": head.hash, "problem": null}),
            format!(
                "The audit chain is intact: {} links, head {}:{}",
                head.length, head.length, head.hash
            ),
        ),
        Verdict::Broken(problem) => (
            Exit::AuditBroken,
            json!({"intact": false, "length": null, "hash": null, "problem": problem}),
            format!("The audit chain is BROKEN: {}", output::shown(&problem)),
        ),
    };
    if args.json {
        output::json(&value)?;
    } else {
        output::line(&words)?;
    }
    Ok(exit)
}

/// From the file, unless a server is named: the file is nearer to the truth.
async fn head(remote: &Remote, config: &Config) -> Result<Exit, Failure> {
    let head = match &remote.server {
        Some(_) => client(remote, config)?.get(&["audit", "head"]).await?,
        None => {
            let head = store::head(config).await?;
            json!({"length": head.length, "hash": head.hash})
        }
    };
    if remote.json {
        output::json(&head)?;
    } else {
        output::line(&format!(
            "{}:{}",
            text(&head, "length"),
            text(&head, "hash")
        ))?;
    }
    Ok(Exit::Done)
}

/// `LENGTH:HASH` or the JSON form, as it is or in a file.
fn read_head(given: &str) -> Result<Head, Failure> {
    if let Some(head) = parse_head(given) {
        return Ok(head);
    }
    let wrong = |why: String| {
        Failure::usage(format!(
            "--head {:?}: expected LENGTH:HASH as `tidegate audit head` prints it, or a file \
             that holds it; {why}",
            output::shown(given)
        ))
    };
    let text = std::fs::read_to_string(Path::new(given)).map_err(|e| wrong(e.to_string()))?;
    parse_head(text.trim()).ok_or_else(|| wrong("the file holds something else".to_owned()))
}

fn parse_head(text: &str) -> Option<Head> {
    if text.starts_with('{') {
        let value: Value = serde_json::from_str(text).ok()?;
        let length = value.get("length")?.as_u64()?;
        return checked_head(length, value.get("hash")?.as_str()?);
    }
    let (length, hash) = text.split_once(':')?;
    checked_head(length.parse().ok()?, hash)
}

fn checked_head(length: u64, hash: &str) -> Option<Head> {
    let right = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    right.then(|| Head {
        length,
        hash: hash.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_printed_in_both_forms_and_from_files() {
        let hash = "0a".repeat(32);
        let want = Head {
            length: 7,
            hash: hash.clone(),
        };
        let plain = format!("7:{hash}");
        let json = format!("{{\"length\": 7, \"hash\": \"{hash}\"}}");
        assert_eq!(parse_head(&plain), Some(want.clone()));
        assert_eq!(parse_head(&json), Some(want.clone()));
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("head");
        std::fs::write(&file, format!("{plain}\n")).expect("written");
        let read = read_head(file.to_str().expect("text")).expect("a head");
        assert_eq!(read, want);
        for wrong in ["", "7", "7:", "x:0a", "7:0A", "/no/such/file", "-1:00"] {
            let failure = read_head(wrong).expect_err(wrong);
            assert_eq!(failure.exit, Exit::Usage, "{wrong}");
        }
    }
}
