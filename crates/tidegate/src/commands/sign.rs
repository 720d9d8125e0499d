//! `sign`: a signed Server API URL, made by the server, which keeps the secret.

use clap::Args;
use serde_json::{Map, Value, json};
use tidegate_core::text::printable;

use crate::cli::OfApp;
use crate::commands::{client_and_app, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// The Action, such as ForbidCDNLiveStream
    action: String,
    /// Parameters; a key given again makes a list
    #[arg(value_name = "KEY=VALUE", value_parser = parse_pair)]
    params: Vec<(String, String)>,
    /// Where the URL points to [default: the server that is asked]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    #[command(flatten)]
    of: OfApp,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as StreamId=cam-7".to_owned()),
    }
}

pub(crate) async fn sign(args: &SignArgs, config: &Config) -> Result<Exit, Failure> {
    let (client, app) = client_and_app(&args.of, config).await?;
    let base = match &args.base_url {
        Some(url) => url.clone(),
        None => client.base().to_string(),
    };
    let body = json!({
        "action": args.action,
        "params": gather(&args.params),
        "base_url": base,
    });
    let answer = client.post(&["apps", &app, "sign"], body).await?;
    if args.of.remote.json {
        output::json(&answer)?;
    } else {
        output::line(&printable(&text(&answer, "url"), 65_536))?;
    }
    Ok(Exit::Done)
}

/// One value stays a text; more become a list, in order.
fn gather(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut params = Map::new();
    for (key, value) in pairs {
        match params.get_mut(key) {
            None => {
                params.insert(key.clone(), json!(value));
            }
            Some(Value::Array(list)) => list.push(json!(value)),
            Some(single) => *single = json!([single.take(), value]),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_makes_a_list() {
        let pair = |text: &str| parse_pair(text).expect(text);
        let params = gather(&[
            pair("a=1"),
            pair("b=x=y"),
            pair("a=2"),
            pair("a="),
            pair("c="),
        ]);
        assert_eq!(
            Value::Object(params),
            json!({"a": ["1", "2", ""], "b": "x=y", "c": ""})
        );
        assert!(parse_pair("a").is_err() && parse_pair("=a").is_err());
    }
}
