//! The configuration: its shape, its defaults, and the layers that it is put together from.
//!
//! Defaults, then one TOML file, then `TIDEGATE__SECTION__KEY` variables, then the flags of the
//! command line. Every key is one line of [`SETTINGS`]; reading and printing a value is the
//! business of its codec in [`codec`].

mod codec;
mod settings;
mod units;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_engine::CdnOptions;
use tidegate_ledger::LedgerUrl;
use tidegate_origin::Options as Origin;
use toml::de::{DeTable, DeValue};

use codec::Raw;
pub(crate) use settings::SETTINGS;
use settings::{Setting, nearest};

const ENV_PREFIX: &str = "TIDEGATE__";

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) log: Log,
    pub(crate) server_api: ServerApi,
    pub(crate) api: Api,
    pub(crate) cdn: Cdn,
    pub(crate) probe: Probe,
    pub(crate) ledger: LedgerConfig,
    pub(crate) secrets: Secrets,
    /// `rtmp`, `media` and `distributors` in here are filled in by [`Config::origin_options`].
    pub(crate) origin: Origin,
}

/// Addresses.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) rtmp: SocketAddr,
    pub(crate) media: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) webrtc: SocketAddr,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// The shape of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// The Server API.
#[derive(Clone, Debug)]
pub(crate) struct ServerApi {
    pub(crate) default_forbid: Duration,
    /// How long an answer waits for what CDNs say.
    pub(crate) answer_within: Duration,
    pub(crate) auth_codes: AuthCodes,
    pub(crate) rates: Rates,
}

/// Which codes a failed authentication is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuthCodes {
    Action,
    Gateway,
}

/// Calls per second and App; 0 is no limit.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    pub(crate) forbid_cdn_live_stream: u32,
    pub(crate) resume_cdn_live_stream: u32,
    pub(crate) query_forbid_cdn_live_stream: u32,
}

/// The HTTP server of the Server API and `/v1`.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) allow_plain_http: bool,
    /// Host of the origin in URLs that are answered; empty: the address it listens on.
    pub(crate) public_host: String,
    pub(crate) max_connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) drain: Duration,
}

/// Calls to vendors.
#[derive(Clone, Debug)]
pub(crate) struct Cdn {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) total_timeout: Duration,
    /// Zero: never.
    pub(crate) drift_check: Duration,
}

/// Looks at streams.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) alarm_after: Duration,
    pub(crate) look_bytes: u64,
    pub(crate) daily_bytes: u64,
}

/// Where the ledger is.
#[derive(Clone, Debug)]
pub(crate) struct LedgerConfig {
    /// `None`: SQLite in the data directory.
    pub(crate) url: Option<LedgerUrl>,
}

/// The key that secrets are sealed with.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    /// `None`: in the data directory.
    pub(crate) key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let origin = Origin {
            distributors: 0,
            ..Origin::default()
        };
        let cdn = CdnOptions::default();
        Self {
            data_dir: PathBuf::from("./tidegate-data"),
            listen: Listen {
                rtmp: origin.rtmp,
                media: origin.media,
                api: local(1985),
                webrtc: local(8000),
            },
            log: Log {
                level: "info".into(),
                format: LogFormat::Auto,
            },
            server_api: ServerApi {
                default_forbid: Duration::from_secs(24 * 3600),
                answer_within: cdn.answer_within,
                auth_codes: AuthCodes::Action,
                rates: Rates {
                    forbid_cdn_live_stream: 20,
                    resume_cdn_live_stream: 20,
                    query_forbid_cdn_live_stream: 20,
                },
            },
            api: Api {
                allow_plain_http: false,
                public_host: String::new(),
                max_connections: 4096,
                header_timeout: Duration::from_secs(30),
                body_timeout: Duration::from_secs(10),
                write_timeout: Duration::from_secs(10),
                drain: Duration::from_secs(5),
            },
            cdn: Cdn {
                connect_timeout: cdn.client.connect_timeout,
                read_timeout: cdn.client.read_timeout,
                total_timeout: cdn.client.total_timeout,
                drift_check: cdn.drift_check,
            },
            probe: Probe {
                alarm_after: cdn.alarm_after,
                look_bytes: cdn.look_bytes,
                daily_bytes: cdn.daily_look_bytes,
            },
            ledger: LedgerConfig { url: None },
            secrets: Secrets { key_file: None },
            origin,
        }
    }
}

impl Config {
    /// Puts the layers together. `env` is the whole environment; `data_dir` is the flag.
    pub(crate) fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        data_dir: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        if let Some(path) = file {
            match std::fs::read_to_string(path) {
                Ok(text) => config.read_file(path, &text, &mut problems),
                Err(error) => problems.push(Problem {
                    place: Place::File(path.to_owned(), None),
                    what: format!("cannot be read: {error}"),
                }),
            }
        }
        let mut variables: Vec<_> = env
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        variables.sort();
        for (name, value) in &variables {
            config.read_variable(name, value, &mut problems);
        }
        if let Some(data_dir) = data_dir {
            data_dir.clone_into(&mut config.data_dir);
        }
        if problems.is_empty() {
            config.check_together(&mut problems);
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(problems))
        }
    }

    /// How vendors are called and looked at.
    pub(crate) fn cdn_options(&self) -> CdnOptions {
        let mut options = CdnOptions {
            answer_within: self.server_api.answer_within,
            alarm_after: self.probe.alarm_after,
            drift_check: self.cdn.drift_check,
            look_bytes: self.probe.look_bytes,
            daily_look_bytes: self.probe.daily_bytes,
            ..CdnOptions::default()
        };
        options.client.connect_timeout = self.cdn.connect_timeout;
        options.client.read_timeout = self.cdn.read_timeout;
        options.client.total_timeout = self.cdn.total_timeout;
        options
    }

    /// Values that are right by themselves and do not go together.
    fn check_together(&self, problems: &mut Vec<Problem>) {
        let (answer, cdn) = (self.server_api.answer_within, &self.cdn);
        let times = [
            (
                "api.write_timeout",
                self.api.write_timeout,
                "server_api.answer_within",
                answer,
                "a connection has to outlive the wait of its answer",
            ),
            (
                "api.drain",
                self.api.drain,
                "server_api.answer_within",
                answer,
                "a stop would cut answers short that still wait for CDNs",
            ),
            (
                "cdn.total_timeout",
                cdn.total_timeout,
                "cdn.connect_timeout",
                cdn.connect_timeout,
                "a call is over before its connection could be given up",
            ),
            (
                "cdn.total_timeout",
                cdn.total_timeout,
                "cdn.read_timeout",
                cdn.read_timeout,
                "a call is over before its answer could be given up",
            ),
        ];
        let wrong = times
            .into_iter()
            .filter(|(_, long, _, short, _)| long < short)
            .map(|(longer, _, shorter, _, why)| (longer, shorter, why));
        let sizes = (self.probe.daily_bytes < self.probe.look_bytes).then_some((
            "probe.daily_bytes",
            "probe.look_bytes",
            "not even one look would fit",
        ));
        problems.extend(wrong.chain(sizes).map(|(more, less, why)| Problem {
            place: Place::Together(more, less),
            what: format!("{why}; raise the one or lower the other"),
        }));
    }

    /// The origin's options with addresses and the machine's size filled in.
    pub(crate) fn origin_options(&self) -> Origin {
        let distributors = match self.origin.distributors {
            0 => Origin::default().distributors,
            set => set,
        };
        Origin {
            rtmp: self.listen.rtmp,
            media: self.listen.media,
            distributors,
            ..self.origin.clone()
        }
    }

    fn read_file(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                problems.push(Problem {
                    place: Place::File(path.to_owned(), line),
                    what: format!("not TOML: {}", error.message().replace('\n', ", ")),
                });
                return;
            }
        };
        let mut found = Vec::new();
        self.read_table("", table.get_ref(), &mut found);
        found.sort_by_key(|(at, _)| *at);
        problems.extend(found.into_iter().map(|(at, what)| Problem {
            place: Place::File(path.to_owned(), Some(line_of(text, at))),
            what,
        }));
    }

    /// Reads one table. Problems carry the offset of the key that they are about.
    fn read_table(&mut self, prefix: &str, table: &DeTable<'_>, found: &mut Vec<(usize, String)>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let at = name.span().start;
            let section = format!("{key}.");
            let is_section = SETTINGS.iter().any(|s| s.key.starts_with(&section));
            match (setting(&key), value.get_ref()) {
                (Some(setting), value) => {
                    if let Err(what) = (setting.set)(self, &Raw::Toml(value)) {
                        found.push((at, format!("`{key}`: {what}")));
                    }
                }
                (None, DeValue::Table(inner)) if is_section => {
                    self.read_table(&section, inner, found);
                }
                (None, _) if is_section => {
                    found.push((at, format!("`{key}` is a section: expected [{key}]")));
                }
                (None, _) => found.push((at, unknown(&key, |near| format!("`{near}`")))),
            }
        }
    }

    fn read_variable(&mut self, name: &str, value: &str, problems: &mut Vec<Problem>) {
        let key = name
            .trim_start_matches(ENV_PREFIX)
            .to_ascii_lowercase()
            .replace("__", ".");
        let outcome = match setting(&key) {
            Some(setting) => (setting.set)(self, &Raw::Env(value)),
            None => Err(unknown(&key, variable)),
        };
        if let Err(what) = outcome {
            problems.push(Problem {
                place: Place::Variable(name.to_owned()),
                what,
            });
        }
    }
}

fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn unknown(key: &str, spell: impl Fn(&str) -> String) -> String {
    let key_shown = tidegate_core::text::printable(key, 80);
    match nearest(key) {
        Some(near) => format!("unknown key `{key_shown}`; did you mean {}?", spell(near)),
        None => format!("unknown key `{key_shown}`; docs/configuration.md lists all keys"),
    }
}

/// The environment variable that sets a key.
pub(crate) fn variable(key: &str) -> String {
    format!(
        "{ENV_PREFIX}{}",
        key.replace('.', "__").to_ascii_uppercase()
    )
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|b| **b == b'\n').count()
}

/// What is wrong with a configuration: all of it, in the order of the layers.
#[derive(Debug)]
pub(crate) struct ConfigError(Vec<Problem>);

#[derive(Debug)]
struct Problem {
    place: Place,
    what: String,
}

#[derive(Debug)]
enum Place {
    /// File, and the line if there is one.
    File(PathBuf, Option<usize>),
    Variable(String),
    /// The first of two keys is less than the second.
    Together(&'static str, &'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, problem) in self.0.iter().enumerate() {
            if count > 0 {
                f.write_str("\n")?;
            }
            match &problem.place {
                Place::File(path, Some(line)) => write!(f, "{}:{line}: ", path.display())?,
                Place::File(path, None) => write!(f, "{}: ", path.display())?,
                Place::Together(less, more) => {
                    write!(f, "`{less}` must not be less than `{more}`: ")?;
                }
                Place::Variable(name) => {
                    write!(
                        f,
                        "environment variable {}: ",
                        tidegate_core::text::printable(name, 120)
                    )?;
                }
            }
            f.write_str(&problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
