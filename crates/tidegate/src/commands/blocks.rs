//! `blocks`: what is forbidden.

use clap::Args;
use serde_json::Value;

use crate::cli::OfApp;
use crate::commands::{client_and_app, flag, items, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct BlocksArgs {
    /// Most streams to list [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    of: OfApp,
}

pub(crate) async fn blocks(args: &BlocksArgs, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(&args.of, config).await?;
    let limit = args.limit.map(|limit| limit.to_string());
    let query: Vec<(&str, &str)> = limit.iter().map(|l| ("limit", l.as_str())).collect();
    let answer = client.get_with(&["apps", &app, "blocks"], &query).await?;
    if args.of.remote.json {
        output::json(&answer)?;
        return Ok(Exit::Done);
    }
    let listed = items(&answer, "blocks");
    let rows = listed.iter().map(|block| {
        let until = if flag(block, "for_ever") {
            "lifted".to_owned()
        } else {
            text(block, "until")
        };
        let since = if flag(block, "recorded") {
            text(block, "since")
        } else {
            "not recorded: forbid it again".to_owned()
        };
        vec![text(block, "stream"), since, until]
    });
    output::table(
        &["stream", "since", "until"],
        rows.collect(),
        "No stream is forbidden.",
    )?;
    let total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
    if total > listed.len() as u64 {
        output::note(&format!(
            "{} of {total} shown; ask for more with --limit.",
            listed.len()
        ));
    }
    Ok(Exit::Done)
}
