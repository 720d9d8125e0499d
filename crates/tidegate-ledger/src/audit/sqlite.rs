//! [`History`] from a SQLite file.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::Stop;
use super::history::{History, StoredBlock, StoredLink, Stray, Window};
use crate::chain::{RawActor, RawAttempt, RawDecision, RawEvent};

const LINKS: &str = "SELECT seq, kind, digest, hash FROM chain WHERE seq BETWEEN $1 AND $2";
const DECISIONS: &str = "SELECT link, app_id, stream, generation, verb, until_ms, held, actor,
    operator, client, reason, at_ms, request_id FROM decisions WHERE link BETWEEN $1 AND $2";
const EVENTS: &str = "SELECT link, verb, actor, operator, client, detail, at_ms, request_id
    FROM events WHERE link BETWEEN $1 AND $2";
const ATTEMPTS: &str = "SELECT link, app_id, stream, target, generation, at_ms, result,
    vendor_request_id, words FROM attempts WHERE link BETWEEN $1 AND $2 ORDER BY link, place";

#[async_trait]
impl History for SqliteConnection {
    async fn last_link(&mut self) -> Result<i64, Stop> {
        let last = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM chain");
        Ok(last.fetch_one(self).await?)
    }

    async fn stray(&mut self, last: i64) -> Result<Option<Stray>, Stop> {
        let stray: Option<(String, i64)> = sqlx::query_as(
            "SELECT 'decision', link FROM decisions WHERE link < 1 OR link > $1
             UNION ALL SELECT 'event', link FROM events WHERE link < 1 OR link > $1
             UNION ALL SELECT 'attempt', link FROM attempts WHERE link < 1 OR link > $1
             UNION ALL SELECT 'link', seq FROM chain WHERE seq < 1 LIMIT 1",
        )
        .bind(last)
        .fetch_optional(self)
        .await?;
        Ok(stray.map(|(what, link)| Stray { what, link }))
    }

    async fn window(&mut self, from: i64, to: i64) -> Result<Window, Stop> {
        let mut attempts: HashMap<i64, Vec<RawAttempt>> = HashMap::new();
        for row in rows(self, ATTEMPTS, from, to).await? {
            attempts
                .entry(row.try_get(0)?)
                .or_default()
                .push(attempt(&row)?);
        }
        Ok(Window {
            from,
            to,
            links: by_link(&rows(self, LINKS, from, to).await?, link)?,
            decisions: by_link(&rows(self, DECISIONS, from, to).await?, decision)?,
            events: by_link(&rows(self, EVENTS, from, to).await?, event)?,
            attempts,
        })
    }

    async fn held(&mut self) -> Result<bool, Stop> {
        let held: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM meta WHERE name = 'restore_hold'")
                .fetch_optional(self)
                .await?;
        Ok(held.is_some())
    }

    async fn blocks(&mut self) -> Result<Vec<StoredBlock>, Stop> {
        let rows = sqlx::query(
            "SELECT app_id, stream, generation, since_ms, until_ms, held_resume FROM blocks",
        )
        .fetch_all(self)
        .await?;
        let blocks: Result<_, sqlx::Error> = rows.iter().map(block).collect();
        Ok(blocks?)
    }

    async fn append_only(&mut self) -> Result<bool, Stop> {
        let there: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (
                 'chain_keeps_rows', 'chain_keeps_words', 'decisions_keeps_rows',
                 'decisions_keeps_words', 'attempts_keeps_rows', 'attempts_keeps_words',
                 'events_keeps_rows', 'events_keeps_words')",
        )
        .fetch_one(self)
        .await?;
        Ok(there == 8)
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

fn block(row: &SqliteRow) -> Result<StoredBlock, sqlx::Error> {
    Ok(StoredBlock {
        app: row.try_get(0)?,
        stream: row.try_get(1)?,
        generation: row.try_get(2)?,
        since_ms: row.try_get(3)?,
        until_ms: row.try_get(4)?,
        held_resume: row.try_get(5)?,
    })
}
