//! The ready customer of a simulated CDN that has no configuration file: one account, one key, one
//! pair of domains.

use std::io::{self, IsTerminal};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_core::Secret;
use tidegate_sim::{Account, Config, Domain, Vendor};

use super::{SimArgs, read, write};
use crate::exit::Failure;
use crate::files::Readers;
use crate::output;

const ACCOUNT: &str = "account.json";
const SECRET: &str = "secret";

/// One account and where its streams live.
pub(super) struct Ready {
    vendor: Vendor,
    access_key_id: String,
    secret: Secret,
    project_id: Option<String>,
    /// Whether the key is not the caller's own.
    pub(super) is_made: bool,
}

/// What a state directory remembers of the key.
#[derive(Serialize, Deserialize)]
struct Kept {
    vendor: String,
    access_key_id: String,
    secret: String,
    project_id: Option<String>,
}

impl Ready {
    /// The key from the flags, else the one that the state directory has, else a new one.
    pub(super) fn make(vendor: Vendor, args: &SimArgs) -> Result<Self, Failure> {
        let project_id = || -> Result<Option<String>, Failure> {
            match vendor {
                Vendor::Huawei => Ok(Some(random()?)),
                _ => Ok(None),
            }
        };
        let kept = args.state_dir.as_deref().and_then(|dir| kept(dir, vendor));
        if let (Some(id), Some(file)) = (&args.access_key_id, &args.secret_file) {
            let text = read(file)?;
            let secret = text.strip_suffix('\n').unwrap_or(&text);
            if id.is_empty() || secret.is_empty() || secret.contains('\n') {
                return Err(Failure::usage(format!(
                    "a key needs an id and one line of secret in {}",
                    file.display()
                )));
            }
            return Ok(Self {
                vendor,
                access_key_id: id.clone(),
                secret: Secret::new(secret.to_owned()),
                project_id: match kept {
                    Some(kept) => kept.project_id,
                    None => project_id()?,
                },
                is_made: false,
            });
        }
        if let Some(kept) = kept {
            return Ok(Self {
                vendor,
                access_key_id: kept.access_key_id,
                secret: Secret::new(kept.secret),
                project_id: kept.project_id,
                is_made: true,
            });
        }
        if args.state_dir.is_none() && !args.json && !io::stdout().is_terminal() {
            return Err(Failure::usage(
                "nobody would learn the new key: add --state-dir DIR, --json, or your own key with \
                 --access-key-id and --secret-file",
            ));
        }
        Ok(Self {
            vendor,
            access_key_id: format!("sim{}", random()?.get(..20).unwrap_or_default()),
            secret: Secret::new(random()?),
            project_id: project_id()?,
            is_made: true,
        })
    }

    fn domains(&self) -> (String, String) {
        let vendor = self.vendor.name();
        (format!("push.{vendor}.test"), format!("play.{vendor}.test"))
    }

    /// One account that may do everything. Its name is the key id and its apiKey the secret, so
    /// that Wangsu's other scheme takes the same pair.
    pub(super) fn config(&self) -> Config {
        let (publish, play) = self.domains();
        let mut account = Account::new(
            &self.access_key_id,
            &self.access_key_id,
            self.secret.expose(),
        );
        account.api_key = Some(self.secret.clone());
        account.project_id.clone_from(&self.project_id);
        Config {
            accounts: vec![account],
            domains: vec![Domain::new(&publish, Some(&play))],
            ..Config::new(self.vendor)
        }
    }

    /// Everything that a client of this CDN needs, secret and all.
    pub(super) fn shown(&self, endpoint: &str) -> Value {
        let (publish, play) = self.domains();
        let mut value = json!({
            "vendor": self.vendor.name(),
            "endpoint": endpoint,
            "access_key_id": self.access_key_id,
            "secret": self.secret.expose(),
            "publish_domain": publish,
            "play_domain": play,
        });
        if let (Some(project), Some(fields)) = (&self.project_id, value.as_object_mut()) {
            fields.insert("project_id".to_owned(), json!(project));
        }
        value
    }

    pub(super) fn put_away(&self, dir: &Path, endpoint: &str) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.shown(endpoint)).map_err(Failure::failed)?;
        let secret = format!("{}\n", self.secret.expose());
        write(dir, SECRET, &secret, Readers::Owner)?;
        write(dir, ACCOUNT, &format!("{text}\n"), Readers::Owner)
    }

    /// Shows the secret only to somebody who sits in front of it and has it nowhere else.
    pub(super) fn announce(&self, args: &SimArgs) -> Result<(), Failure> {
        let (publish, play) = self.domains();
        let mut rows = vec![
            ("publish domain", publish),
            ("play domain", play),
            ("access key id", self.access_key_id.clone()),
        ];
        if let Some(project) = &self.project_id {
            rows.push(("project id", project.clone()));
        }
        match &args.state_dir {
            Some(dir) => rows.push(("secret in", dir.join(SECRET).display().to_string())),
            None if self.is_made && io::stdout().is_terminal() => {
                rows.push(("secret", self.secret.expose().to_owned()));
            }
            None => {}
        }
        output::pairs(&rows)
    }
}

/// The key of an earlier run; one of another vendor, or a file that is no account, counts as none.
fn kept(dir: &Path, vendor: Vendor) -> Option<Kept> {
    let text = std::fs::read_to_string(dir.join(ACCOUNT)).ok()?;
    let kept: Kept = serde_json::from_str(&text).ok()?;
    (kept.vendor == vendor.name()).then_some(kept)
}

/// 128 random bits as hex.
fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::failed(format!("the system gave no random bytes: {e}")))?;
    Ok(hex::encode(bytes))
}
