//! The `tidegate` program: reads the command line and the configuration, and does what was asked.

mod cli;
mod client;
mod commands;
mod config;
mod exit;
mod files;
mod first_start;
mod limits;
mod output;
mod serve;
mod signals;
mod store;
mod telemetry;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use config::Config;
use exit::{Exit, Failure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a reader that went away is none either.
            let code = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            let _ = error.print();
            return code.into();
        }
    };
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::note(&format!("tidegate: {}", failure.words));
            failure.exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    if let Command::Completions { shell } = &cli.command {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "tidegate", &mut script);
        output::write(&String::from_utf8_lossy(&script))?;
        return Ok(Exit::Done);
    }
    if let Command::Sim(args) = &cli.command {
        // Here --config names the simulator's file; one in the environment is the server's.
        let of_server = std::env::var_os("TIDEGATE_CONFIG");
        let file = cli.config.as_deref();
        let file = file.filter(|file| of_server.as_deref() != Some(file.as_os_str()));
        let log = load_config(None, None)?.log;
        return commands::sim::run(args, file, &log);
    }
    let config = load_config(cli.config.as_deref(), cli.data_dir.as_deref())?;
    match &cli.command {
        Command::Serve => serve::run(&config),
        Command::Config(command) => commands::config::run(command, &config),
        _ => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(commands::run(cli, &config))
        }
    }
}

fn load_config(file: Option<&Path>, data_dir: Option<&Path>) -> Result<Config, Failure> {
    // What is not UTF-8 becomes a wrong value, and is refused by name like any other.
    let env = std::env::vars_os().map(|(name, value)| {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    Ok(Config::load(file, env, data_dir)?)
}
