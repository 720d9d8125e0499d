//! The first start: an App and an admin token, put away before they count.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};
use tidegate_engine::{Engine, NewApp};
use tidegate_ledger::{App, PublishAuth};

use crate::exit::Failure;
use crate::files::{self, Readers};
use crate::output;

/// Makes what a ledger without an admin token lacks. Files come first: a crash in between leaves a
/// file that counts for nothing and is replaced at the next start, never a secret that nobody has.
pub(crate) async fn prepare(engine: &Engine, data_dir: &Path) -> Result<(), Failure> {
    let recorded = engine.ledger().admin_token().await?;
    if let Some(digest) = recorded {
        check_token_file(&data_dir.join(files::ADMIN_TOKEN), digest);
        return Ok(());
    }
    let first = match engine.apps().list().is_empty() {
        true => Some(first_app(engine, data_dir).await?),
        false => None,
    };
    // Last, because its absence is what makes the next start go through all of this again.
    let token = new_token()?;
    let token_file = data_dir.join(files::ADMIN_TOKEN);
    put_away(&token_file, &format!("{token}\n"))?;
    engine.ledger().set_admin_token(digest(&token)).await?;
    tracing::info!(file = %token_file.display(), "admin token made");
    announce(first.as_ref(), data_dir)
}

async fn first_app(engine: &Engine, data_dir: &Path) -> Result<App, Failure> {
    let new = NewApp {
        name: "default".to_owned(),
        rtmp_app: Some("live".to_owned()),
        publish_auth: PublishAuth::Signed,
        bind_nonces: true,
        default_forbid: None,
    };
    let app = engine.plan_app(new).map_err(Failure::failed)?;
    let secret = app.server_secrets.first().map(|live| live.secret.expose());
    let content = json!({
        "app_id": app.id,
        "server_secret": secret,
        "callback_secret": app.callback_secret.expose(),
        "publish_key": app.publish_key.expose(),
        "rtmp_app": app.rtmp_app,
    });
    let text = serde_json::to_string_pretty(&content).map_err(Failure::failed)?;
    put_away(&data_dir.join(files::FIRST_APP), &format!("{text}\n"))?;
    engine.create_app(&app).await.map_err(Failure::failed)?;
    Ok(app)
}

/// Shows the secret once, and only to somebody who sits in front of it.
fn announce(first: Option<&App>, data_dir: &Path) -> Result<(), Failure> {
    let token_file = data_dir.join(files::ADMIN_TOKEN);
    let Some(app) = first else {
        return output::line(&format!("The admin token is in {}", token_file.display()));
    };
    let app_file = data_dir.join(files::FIRST_APP);
    if !io::stdout().is_terminal() {
        return output::line(&format!(
            "First start: App {} was made; its secrets are in {}, the admin token is in {}",
            app.id,
            app_file.display(),
            token_file.display()
        ));
    }
    let secret = app.server_secrets.first().map(|live| live.secret.expose());
    output::line("First start: an App was made. This is not shown again.\n")?;
    output::pairs(&[
        ("  AppId", app.id.to_string()),
        ("  ServerSecret", secret.unwrap_or_default().to_owned()),
        ("  RTMP app", app.rtmp_app.clone()),
        ("  also in", app_file.display().to_string()),
        ("  admin token in", token_file.display().to_string()),
    ])?;
    output::line("")
}

/// A token file that is gone or holds another token is a matter for a person: say so early.
fn check_token_file(path: &Path, recorded: [u8; 32]) {
    let advice = "commands on this machine need --token-file, or stop the server and run \
                  `tidegate admin-token rotate --offline`";
    match std::fs::read_to_string(path) {
        Err(error) => tracing::warn!(
            file = %path.display(), %error,
            "the admin token file cannot be read; {advice}"
        ),
        // Both are digests of what only a reader of this directory has: no secret is compared.
        Ok(text) if digest(text.trim_end()) != recorded => tracing::warn!(
            file = %path.display(),
            "the admin token file does not hold the token that counts; {advice}"
        ),
        Ok(_) => {}
    }
}

/// 256 random bits as hex.
pub(crate) fn new_token() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| Failure::failed(format!("the system gave no random bytes: {e}")))?;
    Ok(hex::encode(bytes))
}

/// What the ledger keeps of a token.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Writes a file for the owner's eyes only.
pub(crate) fn put_away(path: &Path, text: &str) -> Result<(), Failure> {
    files::replace(path, text.as_bytes(), Readers::Owner)
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(Failure::from)
}
