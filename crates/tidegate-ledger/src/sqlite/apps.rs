//! Apps with their sealed secrets, and their targets.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use tidegate_core::{AppId, Secret, UnixMs};

use super::error::{OpError, is_unique, reading};
use super::operation::{Operation, Tx, require_app};
use super::rows::{self, get};
use crate::columns::{auth_value, auth_word};
use crate::error::LedgerError;
use crate::keys::{SealingKey, app_place, secret_place};
use crate::lanes::Lane;
use crate::model::{App, LiveSecret};

/// [`crate::Ledger::create_app`].
pub(super) struct CreateApp(pub App);

#[async_trait]
impl Operation for CreateApp {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let app = &self.0;
        insert_app(tx, app)
            .await
            .map_err(|error| taken(error, || format!("there is an App {} already", app.id)))?;
        sqlx::query(
            "INSERT INTO targets (app_id, vendor, publish_domain, rtmp_app)
             VALUES ($1, 'origin', '', $2)",
        )
        .bind(app.id.0)
        .bind(&app.rtmp_app)
        .execute(&mut *tx.conn)
        .await
        .map_err(|error| {
            taken(error.into_op(), || {
                format!(
                    "the RTMP app name {:?} belongs to another App; choose another",
                    app.rtmp_app
                )
            })
        })?;
        // Oldest first on insertion, so that serials rise with age.
        for (serial, secret) in (1_i64..).zip(app.server_secrets.iter().rev()) {
            insert_secret(tx, app.id, serial, &secret.secret, secret.expires).await?;
        }
        tx.bump_revision().await
    }
}

/// Keeps the database's error apart until it is known whether it means a conflict.
enum Insert {
    Database(sqlx::Error),
    Other(OpError),
}

trait IntoInsert {
    fn into_op(self) -> Insert;
}

impl IntoInsert for sqlx::Error {
    fn into_op(self) -> Insert {
        Insert::Database(self)
    }
}

fn taken(error: Insert, words: impl FnOnce() -> String) -> OpError {
    match error {
        Insert::Database(error) if is_unique(&error) => LedgerError::Conflict(words()).into(),
        Insert::Database(error) => error.into(),
        Insert::Other(error) => error,
    }
}

async fn insert_app(tx: &mut Tx<'_>, app: &App) -> Result<(), Insert> {
    let row = [i64::from(app.id.0)];
    let seal = |column, secret: &Secret| {
        tx.sealing
            .seal(app_place(&row, column), secret.expose())
            .map_err(|error| Insert::Other(error.into()))
    };
    let callback_secret = seal("callback_secret", &app.callback_secret)?;
    let publish_key = seal("publish_key", &app.publish_key)?;
    let backup = match &app.publish_key_backup {
        Some(key) => Some(seal("publish_key_backup", key)?),
        None => None,
    };
    let forbid_ms = app
        .default_forbid
        .map(|length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    sqlx::query(
        "INSERT INTO apps (id, place, name, disabled, created_ms, publish_auth, bind_nonces,
             default_forbid_ms, callback_secret, publish_key, publish_key_backup)
         VALUES ($1, (SELECT coalesce(max(place), 0) + 1 FROM apps), $2, $3, $4, $5, $6, $7, $8,
             $9, $10)",
    )
    .bind(app.id.0)
    .bind(&app.name)
    .bind(app.disabled)
    .bind(app.created.0)
    .bind(auth_word(app.publish_auth))
    .bind(app.bind_nonces)
    .bind(forbid_ms)
    .bind(callback_secret)
    .bind(publish_key)
    .bind(backup)
    .execute(&mut *tx.conn)
    .await
    .map_err(Insert::Database)?;
    Ok(())
}

async fn insert_secret(
    tx: &mut Tx<'_>,
    app: AppId,
    serial: i64,
    secret: &Secret,
    expires: Option<UnixMs>,
) -> Result<(), OpError> {
    let row = [i64::from(app.0), serial];
    let sealed = tx.sealing.seal(secret_place(&row), secret.expose())?;
    sqlx::query(
        "INSERT INTO server_secrets (app_id, serial, sealed, expires_ms) VALUES ($1, $2, $3, $4)",
    )
    .bind(app.0)
    .bind(serial)
    .bind(sealed)
    .bind(expires.map(|at| at.0))
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

/// [`crate::Ledger::rotate_secret`].
pub(super) struct RotateSecret {
    pub app: AppId,
    pub secret: Secret,
    pub now: UnixMs,
    pub earlier_end: UnixMs,
}

#[async_trait]
impl Operation for RotateSecret {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        require_app(tx.conn, self.app).await?;
        let newest: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(serial), 0) FROM server_secrets WHERE app_id = $1",
        )
        .bind(self.app.0)
        .fetch_one(&mut *tx.conn)
        .await?;
        sqlx::query(
            "DELETE FROM server_secrets WHERE app_id = $1 AND (serial < $2 OR expires_ms <= $3);
             UPDATE server_secrets SET expires_ms = min(coalesce(expires_ms, $4), $4)
             WHERE app_id = $1;
             DELETE FROM server_secrets WHERE app_id = $1 AND expires_ms <= $3",
        )
        .bind(self.app.0)
        .bind(newest)
        .bind(self.now.0)
        .bind(self.earlier_end.0)
        .execute(&mut *tx.conn)
        .await?;
        insert_secret(tx, self.app, newest + 1, &self.secret, None).await?;
        tx.bump_revision().await
    }
}

/// [`crate::Ledger::rotate_publish_key`].
pub(super) struct RotatePublishKey {
    pub app: AppId,
    pub key: Secret,
    pub keep_earlier: bool,
}

#[async_trait]
impl Operation for RotatePublishKey {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let earlier: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT publish_key FROM apps WHERE id = $1")
                .bind(self.app.0)
                .fetch_optional(&mut *tx.conn)
                .await?;
        let Some(earlier) = earlier else {
            return Err(LedgerError::NoSuchApp(self.app.0).into());
        };
        let row = [i64::from(self.app.0)];
        // A sealed value opens only in its own column, so the earlier key cannot just be copied.
        let backup = if self.keep_earlier {
            let key = tx.sealing.open(app_place(&row, "publish_key"), &earlier)?;
            let place = app_place(&row, "publish_key_backup");
            Some(tx.sealing.seal(place, key.expose())?)
        } else {
            None
        };
        let place = app_place(&row, "publish_key");
        let key = tx.sealing.seal(place, self.key.expose())?;
        sqlx::query("UPDATE apps SET publish_key = $2, publish_key_backup = $3 WHERE id = $1")
            .bind(self.app.0)
            .bind(key)
            .bind(backup)
            .execute(&mut *tx.conn)
            .await?;
        tx.bump_revision().await
    }
}

/// [`crate::Ledger::set_disabled`].
pub(super) struct SetDisabled {
    pub app: AppId,
    pub disabled: bool,
}

#[async_trait]
impl Operation for SetDisabled {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let changed = sqlx::query("UPDATE apps SET disabled = $2 WHERE id = $1")
            .bind(self.app.0)
            .bind(self.disabled)
            .execute(&mut *tx.conn)
            .await?;
        match changed.rows_affected() {
            0 => Err(LedgerError::NoSuchApp(self.app.0).into()),
            _ => tx.bump_revision().await,
        }
    }
}

/// [`crate::Ledger::apps`].
pub(super) async fn read_apps(
    conn: &mut SqliteConnection,
    sealing: &SealingKey,
    now: UnixMs,
) -> Result<Vec<App>, LedgerError> {
    let rows = sqlx::query(
        "SELECT a.id, a.name, t.rtmp_app, a.disabled, a.created_ms, a.publish_auth, a.bind_nonces,
             a.default_forbid_ms, a.callback_secret, a.publish_key, a.publish_key_backup
         FROM apps a JOIN targets t ON t.app_id = a.id AND t.vendor = 'origin' ORDER BY a.place",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(|e| reading(&e))?;
    let mut apps = rows
        .iter()
        .map(|row| app_value(row, sealing))
        .collect::<Result<Vec<_>, _>>()?;
    for app in &mut apps {
        app.server_secrets = read_secrets(conn, sealing, app.id, now).await?;
    }
    Ok(apps)
}

fn app_value(row: &SqliteRow, sealing: &SealingKey) -> Result<App, LedgerError> {
    let id: i64 = get(row, 0)?;
    let auth: String = get(row, 5)?;
    let place = [id];
    let open = |column, sealed: Vec<u8>| sealing.open(app_place(&place, column), &sealed);
    Ok(App {
        id: rows::app_id(id)?,
        name: get(row, 1)?,
        rtmp_app: get(row, 2)?,
        disabled: get(row, 3)?,
        created: UnixMs(get(row, 4)?),
        publish_auth: auth_value(&auth)?,
        bind_nonces: get(row, 6)?,
        default_forbid: get::<Option<i64>>(row, 7)?
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
        server_secrets: Vec::new(),
        callback_secret: open("callback_secret", get(row, 8)?)?,
        publish_key: open("publish_key", get(row, 9)?)?,
        publish_key_backup: get::<Option<Vec<u8>>>(row, 10)?
            .map(|sealed| open("publish_key_backup", sealed))
            .transpose()?,
    })
}

async fn read_secrets(
    conn: &mut SqliteConnection,
    sealing: &SealingKey,
    app: AppId,
    now: UnixMs,
) -> Result<Vec<LiveSecret>, LedgerError> {
    let rows = sqlx::query(
        "SELECT serial, sealed, expires_ms FROM server_secrets
         WHERE app_id = $1 AND (expires_ms IS NULL OR expires_ms > $2) ORDER BY serial DESC",
    )
    .bind(app.0)
    .bind(now.0)
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.iter()
        .map(|row| {
            let place = [i64::from(app.0), get(row, 0)?];
            let sealed: Vec<u8> = get(row, 1)?;
            Ok(LiveSecret {
                secret: sealing.open(secret_place(&place), &sealed)?,
                expires: get::<Option<i64>>(row, 2)?.map(UnixMs),
            })
        })
        .collect()
}
