//! Apps in memory: looked up on every call and every publish, changed by operators.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::{AppId, Secret, UnixMs};
use tidegate_ledger::{App, Ledger, LedgerError, LiveSecret, PublishAuth, Target};
use tidegate_origin::Refusal;

use crate::clock::wall;
use crate::engine::Engine;

/// How long a rotated-out ServerSecret is still accepted, unless it is ended at once.
const ROTATED_OUT_LIVES: Duration = Duration::from_secs(24 * 3600);

/// One App with its targets.
#[derive(Debug)]
pub struct AppEntry {
    /// The App and its secrets.
    pub app: App,
    /// Its targets, the origin first.
    pub targets: Vec<Target>,
}

impl AppEntry {
    /// The ServerSecrets accepted at `now`.
    pub fn live_secrets(&self, now: UnixMs) -> impl Iterator<Item = &Secret> {
        let live = move |s: &&LiveSecret| s.expires.is_none_or(|end| end > now);
        self.app
            .server_secrets
            .iter()
            .filter(live)
            .map(|s| &s.secret)
    }
}

/// All Apps. A snapshot: changes make a new one.
#[derive(Debug, Default)]
pub struct Directory {
    by_id: HashMap<AppId, Arc<AppEntry>>,
    by_rtmp_app: HashMap<String, Arc<AppEntry>>,
    /// Oldest first.
    order: Vec<Arc<AppEntry>>,
}

impl Directory {
    pub(crate) async fn load(ledger: &dyn Ledger) -> Result<Self, LedgerError> {
        let mut directory = Self::default();
        for app in ledger.apps(wall()).await? {
            let targets = ledger.targets(app.id).await?;
            let entry = Arc::new(AppEntry { app, targets });
            directory.by_id.insert(entry.app.id, entry.clone());
            directory
                .by_rtmp_app
                .insert(entry.app.rtmp_app.clone(), entry.clone());
            directory.order.push(entry);
        }
        Ok(directory)
    }

    /// The App with this id, enabled or not.
    pub fn get(&self, id: AppId) -> Option<&Arc<AppEntry>> {
        self.by_id.get(&id)
    }

    /// The App with this RTMP app name, enabled or not.
    pub fn by_rtmp_app(&self, name: &str) -> Option<Arc<AppEntry>> {
        self.by_rtmp_app.get(name).cloned()
    }

    /// All Apps, oldest first.
    pub fn list(&self) -> &[Arc<AppEntry>] {
        &self.order
    }
}

/// What a new App is asked to be.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// A name for people; 1 to 64 printable characters.
    pub name: String,
    /// RTMP app name; `None`: `live` for the first App, the AppId for later ones.
    pub rtmp_app: Option<String>,
    /// What a publish URL needs.
    pub publish_auth: PublishAuth,
    /// Whether nonces are bound to one request.
    pub bind_nonces: bool,
    /// Length of a forbid without an end through the Server API; `None`: the configured one.
    pub default_forbid: Option<Duration>,
}

/// Why an App could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The name is empty, too long or unprintable.
    #[error("the name of an App has 1 to 64 printable characters")]
    Name,
    /// The RTMP app name cannot be part of an RTMP address.
    #[error("an RTMP app name has 1 to 64 of A-Z a-z 0-9 _ -")]
    RtmpApp,
    /// No such App.
    #[error("there is no App {0}; `tidegate app list` shows all")]
    Unknown(AppId),
    /// No randomness from the system.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Engine {
    /// Fresh ids and secrets for an App that does not exist yet; nothing is written. The caller
    /// can put the secrets away safely before [`Engine::create_app`] makes them count.
    pub fn plan_app(&self, new: NewApp) -> Result<App, AppError> {
        let printable = !new.name.chars().any(char::is_control);
        if !(1..=64).contains(&new.name.chars().count()) || !printable {
            return Err(AppError::Name);
        }
        let apps = self.apps();
        let id = loop {
            let id = random_app_id()?;
            if apps.get(id).is_none() {
                break id;
            }
        };
        let rtmp_app = match new.rtmp_app {
            Some(name) => name,
            None if apps.list().is_empty() => "live".to_owned(),
            None => id.to_string(),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !(1..=64).contains(&rtmp_app.len()) || !rtmp_app.bytes().all(plain) {
            return Err(AppError::RtmpApp);
        }
        Ok(App {
            id,
            name: new.name,
            rtmp_app,
            disabled: false,
            created: wall(),
            publish_auth: new.publish_auth,
            bind_nonces: new.bind_nonces,
            default_forbid: new.default_forbid,
            server_secrets: vec![LiveSecret {
                secret: random_secret()?,
                expires: None,
            }],
            callback_secret: random_secret()?,
            publish_key: random_secret()?,
            publish_key_backup: None,
        })
    }

    /// Records a planned App; it counts from here on.
    pub async fn create_app(&self, app: &App) -> Result<(), AppError> {
        self.ledger().create_app(app).await?;
        tracing::info!(app_id = app.id.0, rtmp_app = %app.rtmp_app, "App made");
        Ok(self.reload_apps().await?)
    }

    /// Makes and returns a new ServerSecret. The earlier one lives on for 24 hours, or ends at once.
    pub async fn rotate_secret(&self, id: AppId, end_now: bool) -> Result<Secret, AppError> {
        self.known(id)?;
        let secret = random_secret()?;
        let now = wall();
        let earlier_end = if end_now {
            now
        } else {
            now.plus(ROTATED_OUT_LIVES)
        };
        self.ledger()
            .rotate_secret(id, &secret, now, earlier_end)
            .await?;
        tracing::info!(app_id = id.0, end_now, "ServerSecret rotated");
        self.reload_apps().await?;
        Ok(secret)
    }

    /// Makes and returns a new publish key. Publish URLs signed with the earlier one stay good until
    /// the next rotation, or end at once; who publishes already goes on.
    pub async fn rotate_publish_key(&self, id: AppId, end_now: bool) -> Result<Secret, AppError> {
        self.known(id)?;
        let key = random_secret()?;
        self.ledger().rotate_publish_key(id, &key, !end_now).await?;
        tracing::info!(app_id = id.0, end_now, "publish key rotated");
        self.reload_apps().await?;
        Ok(key)
    }

    /// Disables an App, cutting what it has on the air, or enables it again.
    pub async fn set_disabled(&self, id: AppId, disabled: bool) -> Result<(), AppError> {
        let entry = self.known(id)?;
        self.ledger().set_disabled(id, disabled).await?;
        self.reload_apps().await?;
        if disabled {
            let why = Refusal::UnknownApp(entry.app.rtmp_app.clone());
            let cut = self.hub().cut_app(id, &why);
            tracing::info!(app_id = id.0, publishers = cut.publishers, "App disabled");
        } else {
            tracing::info!(app_id = id.0, "App enabled");
        }
        Ok(())
    }

    fn known(&self, id: AppId) -> Result<Arc<AppEntry>, AppError> {
        self.apps().get(id).cloned().ok_or(AppError::Unknown(id))
    }
}

/// Ten digits, as the original platform's ids have.
fn random_app_id() -> Result<AppId, AppError> {
    const FIRST: u32 = 1_000_000_000;
    let raw = getrandom::u32().map_err(AppError::Random)?;
    Ok(AppId(FIRST + raw % (u32::MAX - FIRST)))
}

/// 128 random bits as 32 hex characters, the shape of the original platform's secrets.
fn random_secret() -> Result<Secret, AppError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(AppError::Random)?;
    Ok(Secret::new(hex::encode(bytes)))
}
