//! `publish-url`: an address that an encoder can publish to.

use clap::{Args, ValueEnum};

use crate::cli::OfApp;
use crate::commands::{checked, client_and_app, text};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::{self, shown};

#[derive(Args, Debug)]
pub(crate) struct PublishUrlArgs {
    /// The stream
    stream: String,
    /// Which recipe signs it [default: tencent]
    #[arg(long, value_enum)]
    recipe: Option<Recipe>,
    /// How long it is good for [default: 24h]
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// Host to put into it [default: the address that the server listens on]
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    of: OfApp,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Recipe {
    Tencent,
    Wangsu,
    Huawei,
}

pub(crate) async fn publish_url(args: &PublishUrlArgs, config: &Config) -> Result<Exit, Failure> {
    let stream = checked(&args.stream)?;
    let (client, app) = client_and_app(&args.of, config).await?;
    let recipe = args.recipe.map(|recipe| match recipe {
        Recipe::Tencent => "tencent",
        Recipe::Wangsu => "wangsu",
        Recipe::Huawei => "huawei",
    });
    let query: Vec<(&str, &str)> = [
        ("recipe", recipe),
        ("ttl", args.ttl.as_deref()),
        ("host", args.host.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let path = ["apps", &app, "streams", stream, "publish-url"];
    let answer = client.get_with(&path, &query).await?;
    if args.of.remote.json {
        output::json(&answer)?;
    } else {
        // The URL alone, so that it can be handed to an encoder as it is.
        output::line(&shown_url(&text(&answer, "url")))?;
    }
    Ok(Exit::Done)
}

fn shown_url(url: &str) -> String {
    if url.len() < 300 {
        shown(url)
    } else {
        tidegate_core::text::printable(url, 4096)
    }
}
