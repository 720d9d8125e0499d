//! Rows on their way from one back end to another.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, SqliteConnection};

use super::tables::{Kind, Table};
use crate::columns::corrupt;
use crate::error::LedgerError;
use crate::postgres::error as pg;
use crate::postgres::rows::{maybe_escaped, unescaped};
use crate::sqlite::error as lite;

/// The value of one column, without what is particular to a back end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Int(Option<i64>),
    Flag(Option<bool>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

pub(super) type Cells = Vec<Cell>;
type Rows<'a> = BoxStream<'a, Result<Cells, LedgerError>>;

/// Where rows come from.
pub(super) enum Source<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Source<'_> {
    /// All rows of a table.
    pub(super) fn rows(&mut self, table: &'static Table) -> Rows<'_> {
        let sql = format!("SELECT {} FROM {}", table.names(), table.name);
        match self {
            Self::Sqlite(conn) => sqlx::query(AssertSqlSafe(sql))
                .fetch(&mut **conn)
                .map_err(|e| lite::reading(&e))
                .and_then(move |row| async move {
                    from_sqlite(table, &row).map_err(|e| lite::reading(&e))
                })
                .boxed(),
            Self::Postgres(conn) => sqlx::query(AssertSqlSafe(sql))
                .fetch(&mut **conn)
                .map_err(|e| pg::reading(&e))
                .and_then(move |row| async move { from_postgres(table, &row) })
                .boxed(),
        }
    }

    /// How many rows a table has.
    pub(super) async fn count(&mut self, table: &Table) -> Result<u64, LedgerError> {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
        let count: i64 = match self {
            Self::Sqlite(conn) => sqlx::query_scalar(sql)
                .fetch_one(&mut **conn)
                .await
                .map_err(|e| lite::reading(&e))?,
            Self::Postgres(conn) => sqlx::query_scalar(sql)
                .fetch_one(&mut **conn)
                .await
                .map_err(|e| pg::reading(&e))?,
        };
        Ok(count.unsigned_abs())
    }
}

fn from_sqlite(table: &Table, row: &SqliteRow) -> Result<Cells, sqlx::Error> {
    let cell = |(index, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Int => Cell::Int(row.try_get(index)?),
            Kind::Flag => Cell::Flag(row.try_get(index)?),
            Kind::Text | Kind::Free => Cell::Text(row.try_get(index)?),
            Kind::Bytes | Kind::Sealed(_) => Cell::Bytes(row.try_get(index)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

fn from_postgres(table: &Table, row: &PgRow) -> Result<Cells, LedgerError> {
    let told = |e| pg::reading(&e);
    let cell = |(index, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Int => Cell::Int(row.try_get(index).map_err(told)?),
            Kind::Flag => Cell::Flag(row.try_get(index).map_err(told)?),
            Kind::Text => Cell::Text(row.try_get(index).map_err(told)?),
            Kind::Free => {
                let stored: Option<&str> = row.try_get(index).map_err(told)?;
                let read = |text| unescaped(text).ok_or_else(|| corrupt("a text"));
                Cell::Text(stored.map(read).transpose()?)
            }
            Kind::Bytes | Kind::Sealed(_) => Cell::Bytes(row.try_get(index).map_err(told)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// Where rows go, inside an open transaction.
pub(super) enum Sink<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Sink<'_> {
    /// Adds rows to a table.
    pub(super) async fn insert(
        &mut self,
        table: &Table,
        rows: Vec<Cells>,
    ) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(conn) => insert_sqlite(conn, table, rows)
                .await
                .map_err(|e| lite::writing(&e)),
            Self::Postgres(conn) => insert_postgres(conn, table, rows)
                .await
                .map_err(|e| pg::unavailable("written", &e)),
        }
    }
}

async fn insert_sqlite(
    conn: &mut SqliteConnection,
    table: &Table,
    rows: Vec<Cells>,
) -> Result<(), sqlx::Error> {
    let places: Vec<String> = (1..=table.columns.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        table.name,
        table.names(),
        places.join(", ")
    );
    let sql = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql));
    for row in rows {
        let mut query = sqlx::query(sql.clone());
        for cell in row {
            query = match cell {
                Cell::Int(value) => query.bind(value),
                Cell::Flag(value) => query.bind(value),
                Cell::Text(value) => query.bind(value),
                Cell::Bytes(value) => query.bind(value),
            };
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// One statement for all rows, a column an array.
async fn insert_postgres(
    conn: &mut PgConnection,
    table: &Table,
    rows: Vec<Cells>,
) -> Result<(), sqlx::Error> {
    let arrays: Vec<String> = (1..)
        .zip(table.columns)
        .map(|(n, (_, kind))| {
            let element = match kind {
                Kind::Int => "bigint",
                Kind::Flag => "boolean",
                Kind::Text | Kind::Free => "text",
                Kind::Bytes | Kind::Sealed(_) => "bytea",
            };
            format!("${n}::{element}[]")
        })
        .collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT * FROM unnest({})",
        table.name,
        table.names(),
        arrays.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (index, (_, kind)) in table.columns.iter().enumerate() {
        let column = rows.iter().filter_map(|row| row.get(index));
        query = match kind {
            Kind::Int => query.bind(column.map(int).collect::<Vec<_>>()),
            Kind::Flag => query.bind(column.map(flag).collect::<Vec<_>>()),
            Kind::Text => query.bind(column.map(text).collect::<Vec<_>>()),
            Kind::Free => {
                let stored = column.map(|cell| maybe_escaped(text(cell).as_deref()));
                query.bind(stored.collect::<Vec<_>>())
            }
            Kind::Bytes | Kind::Sealed(_) => query.bind(column.map(bytes).collect::<Vec<_>>()),
        };
    }
    query.execute(conn).await.map(|_| ())
}

fn int(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(value) => *value,
        _ => None,
    }
}

fn flag(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Flag(value) => *value,
        _ => None,
    }
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(value) => value.clone(),
        _ => None,
    }
}

fn bytes(cell: &Cell) -> Option<Vec<u8>> {
    match cell {
        Cell::Bytes(value) => value.clone(),
        _ => None,
    }
}
