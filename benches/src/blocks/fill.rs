//! A ledger of so many standing blocks, each banned and at rest at one vendor.
//!
//! One block is made as the server makes it, through the ledger's own face; the others are its row
//! copied under other names. So all but the hash chain is as it would be.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tidegate_core::backoff::{Jitter, Now};
use tidegate_core::placement::{Epoch, Owner};
use tidegate_core::reconcile::{Object, Outcome, Report, step};
use tidegate_core::{
    Actor, AppId, Ask, AskKind, AskedEnd, RequestId, Secret, StreamId, StreamKey, UnixMs,
};
use tidegate_engine::cdns;
use tidegate_ledger::cdns::{
    AcceptedBy, AccountKey, CdnAccount, CdnSave, NewTarget, ObjectKey, ObjectSave,
};
use tidegate_ledger::{CdnLedger as _, Ledger as _, OpenOptions, SqliteLedger, Vendor};

const COPIES: &str = "
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1) ";

/// What is copied; `base` is the number of the template's link.
const TABLES: [&str; 5] = [
    "INSERT INTO chain SELECT seq + i, kind, digest, hash FROM n CROSS JOIN chain WHERE seq = $2",
    "INSERT INTO decisions
     SELECT link + i, app_id, printf('room-%012d-camera', i), generation, verb, until_ms, held,
         actor, operator, client, reason, at_ms, request_id
     FROM n CROSS JOIN decisions WHERE link = $2",
    "INSERT INTO blocks
     SELECT app_id, printf('room-%012d-camera', i), generation, since_ms, until_ms, held_resume
     FROM n CROSS JOIN blocks WHERE stream = $3",
    "INSERT INTO placements
     SELECT app_id, printf('room-%012d-camera', i), target, wanted, accepted, accepted_ms,
         observed, observed_ms, watch, look_ms
     FROM n CROSS JOIN placements WHERE stream = $3",
    // Due one after the other, so that a moment can be named at which so many are.
    "INSERT INTO objects
     SELECT account, site, printf('room-%012d-camera', i), state, version, due_ms + i
     FROM n CROSS JOIN objects WHERE stream = $3",
];

/// A stream of the ledger, by its number.
pub(super) fn stream(n: u32) -> String {
    format!("room-{n:012}-camera")
}

/// Where the objects are and when the first of them is due; each of the others a millisecond after
/// the one before.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) account: i64,
    pub(super) first_due: UnixMs,
    pub(super) blocks: u32,
    site: String,
}

impl Filled {
    /// The object of a stream.
    pub(super) fn key(&self, n: u32) -> anyhow::Result<ObjectKey> {
        Ok(ObjectKey {
            account: self.account,
            site: self.site.clone(),
            stream: StreamId::parse(&stream(n))?,
        })
    }
}

/// Fills the ledger in this data directory, which no server may be using.
pub(super) async fn fill(data: &Path, app: AppId, blocks: u32) -> anyhow::Result<Filled> {
    let ledger = SqliteLedger::open(OpenOptions::new(data)).await?;
    let filled = template(&ledger, app, blocks).await;
    ledger.close().await;
    drop(ledger);
    let filled = filled?;
    let options = SqliteConnectOptions::new().filename(data.join("ledger.db"));
    let mut database = SqliteConnection::connect_with(&options).await?;
    let link: i64 = sqlx::query_scalar("SELECT max(seq) FROM chain")
        .fetch_one(&mut database)
        .await?;
    let mut transaction = database.begin().await?;
    for table in TABLES {
        let done = sqlx::query(AssertSqlSafe(copies(table)))
            .bind(blocks)
            .bind(link)
            .bind(stream(0))
            .execute(&mut *transaction)
            .await
            .with_context(|| table.to_owned())?;
        ensure!(
            done.rows_affected() >= u64::from(blocks) - 1,
            "{} rows by {table}",
            done.rows_affected()
        );
    }
    transaction.commit().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut database)
        .await?;
    database.close().await?;
    Ok(filled)
}

/// The copies follow the head of the statement they are for.
fn copies(table: &str) -> String {
    format!("{COPIES} {table}")
}

async fn template(ledger: &SqliteLedger, app: AppId, blocks: u32) -> anyhow::Result<Filled> {
    let now = wall()?;
    let account = ledger.add_account(&account(now)).await?;
    let target = NewTarget {
        app,
        account,
        publish_domain: "push.example.com".to_owned(),
        play_domain: None,
        rtmp_app: "live".to_owned(),
        play_urls: Vec::new(),
        play_key: None,
    };
    let target = ledger.add_target(&target).await?;
    let key = StreamKey::new(app, StreamId::parse(&stream(0))?);
    let ask = Ask {
        key: key.clone(),
        kind: AskKind::Forbid(AskedEnd::Lifted),
        by: Actor::App {
            client: [127, 0, 0, 1].into(),
        },
        reason: None,
        at: now,
        request_id: RequestId(1),
    };
    ledger.decide(ask, None).await?;
    let rows = ledger.objects_of(&key).await?;
    let (_, row) = rows
        .into_iter()
        .find(|(id, _)| *id == target)
        .context("an object")?;
    let owners: Vec<_> = row.owners.iter().map(|owner| owner.owner).collect();
    let (state, first_due) = banned(&owners, Now::agreed(now))?;
    let generation = owners.first().context("an owner")?.generation;
    let accepted = AcceptedBy {
        app,
        target,
        generation,
        at: now,
        watch: None,
    };
    let site = row.key.site.clone();
    let save = ObjectSave {
        key: row.key,
        version: row.version,
        state,
        due: Some(first_due),
        accepted: vec![accepted],
    };
    ledger
        .save(CdnSave {
            budgets: Vec::new(),
            objects: vec![save],
        })
        .await?;
    Ok(Filled {
        account,
        first_due,
        blocks,
        site,
    })
}

/// An account that cannot be reached: nothing is due, so nothing is to be asked.
fn account(now: UnixMs) -> CdnAccount {
    CdnAccount {
        id: 0,
        name: "bench".to_owned(),
        vendor: Vendor::Tencent,
        key: AccountKey {
            access_key_id: "AKIDbench0123456789".to_owned(),
            secret: Secret::new("benchSecret0123456789".to_owned()),
            security_token: None,
        },
        scheme: None,
        region: None,
        project_id: None,
        endpoint: Some("http://127.0.0.1:9".to_owned()),
        strict: true,
        epoch: 1,
        created: now,
        rotated: None,
    }
}

/// The state of an object whose ban was accepted, and when it is renewed.
fn banned(owners: &[Owner], now: Now) -> anyhow::Result<(String, UnixMs)> {
    let timeout = Duration::from_secs(10);
    let limits = cdns::object_limits(tidegate_cdn::Vendor::Tencent, false, timeout);
    let mut object = Object::default();
    let plan = step(&object, owners, &limits, Epoch(1), now);
    let serial = object.begin(&plan, owners, "bench", &limits, now);
    let report = Report {
        outcome: Outcome::Accepted { until: None },
        request_id: Some("4e7b1c0a-9b1d-4c55-8e0e-6a1f0c5d2b77".to_owned()),
        words: String::new(),
    };
    let serial = serial.context("a call that may not begin")?;
    object.on_result(serial, &report, &limits, Epoch(1), Jitter(0), now);
    let rests = step(&object, owners, &limits, Epoch(1), now).next;
    let due = rests.context("a ban without a renewal")?;
    Ok((serde_json::to_string(&object)?, due))
}

fn wall() -> anyhow::Result<UnixMs> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(UnixMs(i64::try_from(since.as_millis())?))
}
