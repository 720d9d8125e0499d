//! The command line: what can be asked for. What is done about it lives in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tidegate_core::AppId;

use crate::commands::{
    account, admin_token, app, audit, blocks, config, decide, ledger, publish_url, sign, sim,
    status, target,
};
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  tidegate serve --data-dir /var/lib/tidegate
  tidegate publish-url cam-7
  tidegate forbid cam-7 --for 2h --reason \"rights holder's notice\"
  tidegate status cam-7
  tidegate resume cam-7
  curl \"$(tidegate sign QueryForbidCDNLiveStream Vendor=origin)\"";

/// Takes live streams off the air on every CDN with one signed call, and brings them back.
#[derive(Parser, Debug)]
#[command(name = "tidegate", version, propagate_version = true)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Configuration file (TOML); runs with none
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Data directory of the server: ledger, keys, admin token [default: ./tidegate-data]
    #[arg(long, global = true, value_name = "DIR", env = "TIDEGATE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server to ask, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct Remote {
    /// The server's API, such as http://127.0.0.1:1985 [default: from DATA_DIR/listen.json]
    #[arg(
        long,
        value_name = "URL",
        env = "TIDEGATE_SERVER",
        help_heading = "Server"
    )]
    pub(crate) server: Option<String>,

    /// File with the admin token [default: $TIDEGATE_TOKEN, else DATA_DIR/admin-token]
    #[arg(
        long,
        value_name = "FILE",
        env = "TIDEGATE_TOKEN_FILE",
        help_heading = "Server"
    )]
    pub(crate) token_file: Option<PathBuf>,

    /// Who does this, for the history [default: $USER]
    #[arg(
        long,
        value_name = "NAME",
        env = "TIDEGATE_OPERATOR",
        help_heading = "Server"
    )]
    pub(crate) operator: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which App.
#[derive(Args, Clone, Debug)]
pub(crate) struct OfApp {
    /// The App; needed when there is more than one
    #[arg(long, value_name = "ID", value_parser = parse_app_id)]
    pub(crate) app_id: Option<AppId>,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

fn parse_app_id(text: &str) -> Result<AppId, String> {
    AppId::parse(text).ok_or_else(|| "expected a number from 1 to 4294967295".to_owned())
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the server
    ///
    /// The first start makes an App and an admin token. SIGINT and SIGTERM stop it in order; a
    /// second one stops it at once.
    Serve,
    /// Take a stream off the air, on every CDN
    #[command(
        after_help = "Examples:\n  tidegate forbid cam-7\n  tidegate forbid cam-7 --for 2h \
        --reason \"complaint 4711\"\n  tidegate forbid cam-7 --until 2026-05-01T00:00:00Z"
    )]
    Forbid(decide::ForbidArgs),
    /// Let a stream back on the air, on every CDN
    Resume(decide::ResumeArgs),
    /// Show where a stream stands on each CDN, and its history
    Status(status::StatusArgs),
    /// List the streams that are live
    Streams(OfApp),
    /// List the streams that are forbidden
    Blocks(blocks::BlocksArgs),
    /// Print a URL that an encoder can publish to
    #[command(after_help = "Example:\n  ffmpeg -re -i in.mp4 -c copy -f flv \
        \"$(tidegate publish-url cam-7)\"")]
    PublishUrl(publish_url::PublishUrlArgs),
    /// Print a signed Server API URL
    #[command(after_help = "Example:\n  curl \"$(tidegate sign ForbidCDNLiveStream \
        StreamId=cam-7)\"\n\nThe secret stays on the server. A signature is good for 10 minutes.")]
    Sign(sign::SignArgs),
    /// Make and manage Apps
    #[command(subcommand)]
    App(app::AppCommand),
    /// Manage credentials at CDN vendors
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Manage where an App's streams live
    #[command(subcommand)]
    Target(target::TargetCommand),
    /// Check the history of decisions
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Back up and restore the ledger
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Vouch for the wall clock
    #[command(subcommand)]
    Clock(status::ClockCommand),
    /// Manage the token that /v1 and these commands use
    #[command(subcommand)]
    AdminToken(admin_token::AdminTokenCommand),
    /// See how the server is
    #[command(subcommand)]
    Server(status::ServerCommand),
    /// Run a simulated CDN: a vendor's live API in front of a real media server
    ///
    /// For tests and demonstrations: what the API bans is really cut and refused. --config names
    /// the simulator's own file here. SIGINT and SIGTERM stop it; its bans are forgotten then.
    #[command(after_help = sim::EXAMPLES)]
    Sim(sim::SimArgs),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script
    #[command(after_help = "Example:\n  tidegate completions bash > \
        /etc/bash_completion.d/tidegate")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}
