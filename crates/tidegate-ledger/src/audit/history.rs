//! The history rows as stored, a window of links at a time.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Stop, broken};
use crate::chain::{RawActor, RawAttempt, RawDecision, RawEvent};

/// A row of `chain`.
pub(super) struct StoredLink {
    pub kind: String,
    pub digest: Vec<u8>,
    pub hash: Vec<u8>,
}

/// All rows that belong to a range of links.
pub(super) struct Window {
    from: i64,
    to: i64,
    pub links: HashMap<i64, StoredLink>,
    pub decisions: HashMap<i64, RawDecision>,
    pub events: HashMap<i64, RawEvent>,
    pub attempts: HashMap<i64, Vec<RawAttempt>>,
}

const LINKS: &str = "SELECT seq, kind, digest, hash FROM chain WHERE seq BETWEEN $1 AND $2";
const DECISIONS: &str = "SELECT link, app_id, stream, generation, verb, until_ms, held, actor,
    operator, client, reason, at_ms, request_id FROM decisions WHERE link BETWEEN $1 AND $2";
const EVENTS: &str = "SELECT link, verb, actor, operator, client, detail, at_ms, request_id
    FROM events WHERE link BETWEEN $1 AND $2";
const ATTEMPTS: &str = "SELECT link, app_id, stream, target, generation, at_ms, result,
    vendor_request_id, words FROM attempts WHERE link BETWEEN $1 AND $2 ORDER BY link, place";

impl Window {
    /// Reads the links `from` to `to` and their rows.
    pub(super) async fn read(
        conn: &mut SqliteConnection,
        from: i64,
        to: i64,
    ) -> Result<Self, Stop> {
        let mut attempts: HashMap<i64, Vec<RawAttempt>> = HashMap::new();
        for row in rows(conn, ATTEMPTS, from, to).await? {
            attempts
                .entry(row.try_get(0)?)
                .or_default()
                .push(attempt(&row)?);
        }
        Ok(Self {
            from,
            to,
            links: by_link(&rows(conn, LINKS, from, to).await?, link)?,
            decisions: by_link(&rows(conn, DECISIONS, from, to).await?, decision)?,
            events: by_link(&rows(conn, EVENTS, from, to).await?, event)?,
            attempts,
        })
    }

    /// The links in it.
    pub(super) fn range(&self) -> RangeInclusive<i64> {
        self.from..=self.to
    }

    /// What a link stands for, for people.
    pub(super) fn describe(&self, seq: i64) -> String {
        if let Some(row) = self.decisions.get(&seq) {
            return format!(
                "the {:?} on {}/{} (generation {})",
                row.verb, row.app, row.stream, row.generation
            );
        }
        if let Some(row) = self.events.get(&seq) {
            return format!("the event {:?}", row.verb);
        }
        "a batch of attempts".to_owned()
    }
}

async fn rows(
    conn: &mut SqliteConnection,
    sql: &'static str,
    from: i64,
    to: i64,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(sql).bind(from).bind(to).fetch_all(conn).await
}

fn by_link<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<HashMap<i64, T>, sqlx::Error> {
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, read(row)?)))
        .collect()
}

fn link(row: &SqliteRow) -> Result<StoredLink, sqlx::Error> {
    Ok(StoredLink {
        kind: row.try_get(1)?,
        digest: row.try_get(2)?,
        hash: row.try_get(3)?,
    })
}

fn actor(row: &SqliteRow, first: usize) -> Result<RawActor, sqlx::Error> {
    Ok(RawActor {
        actor: row.try_get(first)?,
        operator: row.try_get(first + 1)?,
        client: row.try_get(first + 2)?,
    })
}

fn decision(row: &SqliteRow) -> Result<RawDecision, sqlx::Error> {
    Ok(RawDecision {
        app: row.try_get(1)?,
        stream: row.try_get(2)?,
        generation: row.try_get(3)?,
        verb: row.try_get(4)?,
        until_ms: row.try_get(5)?,
        held: row.try_get(6)?,
        by: actor(row, 7)?,
        reason: row.try_get(10)?,
        at_ms: row.try_get(11)?,
        request_id: row.try_get(12)?,
    })
}

fn event(row: &SqliteRow) -> Result<RawEvent, sqlx::Error> {
    Ok(RawEvent {
        verb: row.try_get(1)?,
        by: actor(row, 2)?,
        detail: row.try_get(5)?,
        at_ms: row.try_get(6)?,
        request_id: row.try_get(7)?,
    })
}

fn attempt(row: &SqliteRow) -> Result<RawAttempt, sqlx::Error> {
    Ok(RawAttempt {
        app: row.try_get(1)?,
        stream: row.try_get(2)?,
        target: row.try_get(3)?,
        generation: row.try_get(4)?,
        at_ms: row.try_get(5)?,
        result: row.try_get(6)?,
        vendor_request_id: row.try_get(7)?,
        words: row.try_get(8)?,
    })
}

/// Number of the newest link.
pub(super) async fn last_link(conn: &mut SqliteConnection) -> Result<i64, Stop> {
    let last = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM chain");
    Ok(last.fetch_one(conn).await?)
}

/// History rows, or links, with numbers that no link can have.
pub(super) async fn refuse_rows_outside(
    conn: &mut SqliteConnection,
    last: i64,
) -> Result<(), Stop> {
    let stray: Option<(String, i64)> = sqlx::query_as(
        "SELECT 'decision', link FROM decisions WHERE link < 1 OR link > $1
         UNION ALL SELECT 'event', link FROM events WHERE link < 1 OR link > $1
         UNION ALL SELECT 'attempt', link FROM attempts WHERE link < 1 OR link > $1
         UNION ALL SELECT 'link', seq FROM chain WHERE seq < 1 LIMIT 1",
    )
    .bind(last)
    .fetch_optional(conn)
    .await?;
    match stray {
        None => Ok(()),
        Some((what, link)) => broken(format!(
            "there is a row of kind {what} numbered {link}, but the chain has links 1 to {last}: \
             the row was inserted, or the end of the chain was removed"
        )),
    }
}

/// History is append-only as long as its triggers are there.
pub(super) async fn refuse_missing_triggers(conn: &mut SqliteConnection) -> Result<(), Stop> {
    let there: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (
             'chain_keeps_rows', 'chain_keeps_words', 'decisions_keeps_rows',
             'decisions_keeps_words', 'attempts_keeps_rows', 'attempts_keeps_words',
             'events_keeps_rows', 'events_keeps_words')",
    )
    .fetch_one(conn)
    .await?;
    match there {
        8 => Ok(()),
        _ => broken(
            "every link holds, but triggers that keep history append-only were removed".to_owned(),
        ),
    }
}
