//! The facts about a ledger itself: SQLite keeps a value of any type, PostgreSQL a column a type.

use super::rows::{Sink, Source};
use crate::error::LedgerError;
use crate::keys::KeyMarks;
use crate::postgres::error as pg;
use crate::sqlite::error as lite;

/// A name with the one value that it has.
pub(super) type Fact = (String, Option<i64>, Option<Vec<u8>>, Option<String>);

/// All facts but those about the key.
pub(super) async fn read(from: &mut Source<'_>) -> Result<Vec<Fact>, LedgerError> {
    match from {
        Source::Sqlite(conn) => sqlx::query_as(
            "SELECT name, iif(typeof(value) = 'integer', value, NULL),
                 iif(typeof(value) = 'blob', value, NULL),
                 iif(typeof(value) = 'text', value, NULL)
             FROM meta WHERE name NOT IN ('key_id', 'key_check')",
        )
        .fetch_all(&mut **conn)
        .await
        .map_err(|e| lite::reading(&e)),
        Source::Postgres(conn) => sqlx::query_as(
            "SELECT name, number, bytes, words FROM meta
             WHERE name NOT IN ('key_id', 'key_check')",
        )
        .fetch_all(&mut **conn)
        .await
        .map_err(|e| pg::reading(&e)),
    }
}

/// Writes the facts and the marks of the key.
pub(super) async fn write(
    to: &mut Sink<'_>,
    facts: &[Fact],
    marks: &KeyMarks,
) -> Result<(), LedgerError> {
    let id = ("key_id".to_owned(), None, None, Some(marks.id.clone()));
    let check = (
        "key_check".to_owned(),
        None,
        Some(marks.check.clone()),
        None,
    );
    for (name, number, bytes, words) in facts.iter().chain([&id, &check]) {
        match to {
            Sink::Sqlite(conn) => {
                let insert =
                    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2)").bind(name);
                let insert = match (number, bytes) {
                    (Some(number), _) => insert.bind(number),
                    (None, Some(bytes)) => insert.bind(bytes),
                    (None, None) => insert.bind(words),
                };
                let done = insert.execute(&mut **conn).await;
                done.map_err(|e| lite::writing(&e))?;
            }
            Sink::Postgres(conn) => {
                sqlx::query(
                    "INSERT INTO meta (name, number, bytes, words) VALUES ($1, $2, $3, $4)",
                )
                .bind(name)
                .bind(number)
                .bind(bytes)
                .bind(words)
                .execute(&mut **conn)
                .await
                .map_err(|e| pg::unavailable("written", &e))?;
            }
        }
    }
    Ok(())
}

/// Row ids that were given out are not given out again, even if their rows are gone.
pub(super) async fn go_on_counting(
    from: &mut Source<'_>,
    to: &mut Sink<'_>,
) -> Result<(), LedgerError> {
    for table in ["accounts", "targets"] {
        if let Some(used) = used_ids(from, table).await? {
            go_on_after(to, table, used).await?;
        }
    }
    Ok(())
}

async fn used_ids(from: &mut Source<'_>, table: &'static str) -> Result<Option<i64>, LedgerError> {
    match from {
        Source::Sqlite(conn) => {
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1")
                .bind(table)
                .fetch_optional(&mut **conn)
                .await
                .map_err(|e| lite::reading(&e))
        }
        Source::Postgres(conn) => sqlx::query_scalar(
            "SELECT pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass)",
        )
        .bind(table)
        .fetch_one(&mut **conn)
        .await
        .map_err(|e| pg::reading(&e)),
    }
}

async fn go_on_after(to: &mut Sink<'_>, table: &'static str, used: i64) -> Result<(), LedgerError> {
    match to {
        Sink::Sqlite(conn) => sqlx::query(
            "INSERT INTO sqlite_sequence (name, seq)
             SELECT $1, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1);
             UPDATE sqlite_sequence SET seq = max(seq, $2) WHERE name = $1",
        )
        .bind(table)
        .bind(used)
        .execute(&mut **conn)
        .await
        .map(|_| ())
        .map_err(|e| lite::writing(&e)),
        Sink::Postgres(conn) => sqlx::query("SELECT setval(pg_get_serial_sequence($1, 'id'), $2)")
            .bind(table)
            .bind(used)
            .execute(&mut **conn)
            .await
            .map(|_| ())
            .map_err(|e| pg::unavailable("written", &e)),
    }
}
