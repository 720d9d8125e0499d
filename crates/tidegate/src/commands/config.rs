//! `config check` and `config show`.

use std::fmt::Write as _;

use clap::Subcommand;

use crate::config::{Config, SETTINGS};
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration is right, and what is wrong with it
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the values in force: defaults, file, environment and flags put together
    Show {
        /// Print JSON: an object of dotted keys
        #[arg(long)]
        json: bool,
    },
}

/// Getting here means that the configuration was read without a mistake.
pub(crate) fn run(command: &ConfigCommand, config: &Config) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Check { json: false } => output::line("The configuration is right.")?,
        ConfigCommand::Check { json: true } => output::json(&serde_json::json!({"valid": true}))?,
        ConfigCommand::Show { json: false } => output::write(&render(config))?,
        ConfigCommand::Show { json: true } => {
            let mut all = serde_json::Map::new();
            for setting in SETTINGS {
                let toml = (setting.show)(config);
                let read = toml::from_str::<serde_json::Value>(&format!("value = {toml}"))
                    .map_err(Failure::failed)?;
                let value = read.get("value").cloned().unwrap_or_default();
                all.insert(setting.key.to_owned(), value);
            }
            output::json(&all)?;
        }
    }
    Ok(Exit::Done)
}

/// The configuration as a TOML file.
pub(crate) fn render(config: &Config) -> String {
    let mut out = String::new();
    let mut section = "";
    for setting in SETTINGS {
        let (of, key) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if of != section {
            section = of;
            let _ = write!(out, "\n[{section}]\n");
        }
        let _ = writeln!(out, "{key} = {}", (setting.show)(config));
    }
    out
}
