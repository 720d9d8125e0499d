//! Every row of one ledger into another, inside a transaction of the receiving one.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;

use super::meta;
use super::rows::{Cell, Cells, Sink, Source};
use super::tables::{Kind, TABLES, Table};
use crate::columns::corrupt;
use crate::error::LedgerError;
use crate::keys::{KeyMarks, Place, SealingKey};

/// Rows moved at a time.
const CHUNK: usize = 1000;

/// What happens to sealed secrets on the way.
pub(super) enum Secrets<'a> {
    /// The receiving ledger has the same key.
    Keep,
    /// They are opened with the first key and sealed with the second.
    Reseal(&'a SealingKey, &'a SealingKey),
}

/// Moves everything. Returns how many rows each table has, `meta` apart.
pub(super) async fn transfer(
    mut from: Source<'_>,
    mut to: Sink<'_>,
    secrets: &Secrets<'_>,
    marks: &KeyMarks,
) -> Result<BTreeMap<&'static str, u64>, LedgerError> {
    let facts = meta::read(&mut from).await?;
    meta::write(&mut to, &facts, marks).await?;
    let mut counts = BTreeMap::new();
    for table in &TABLES {
        let moved = move_table(&mut from, &mut to, table, secrets).await?;
        counts.insert(table.name, moved);
    }
    meta::go_on_counting(&mut from, &mut to).await?;
    Ok(counts)
}

async fn move_table(
    from: &mut Source<'_>,
    to: &mut Sink<'_>,
    table: &'static Table,
    secrets: &Secrets<'_>,
) -> Result<u64, LedgerError> {
    let mut moved = 0;
    let mut chunk: Vec<Cells> = Vec::new();
    let mut rows = from.rows(table);
    while let Some(mut row) = rows.try_next().await? {
        if let Secrets::Reseal(old, new) = secrets {
            reseal(table, &mut row, old, new)?;
        }
        chunk.push(row);
        moved += 1;
        if chunk.len() >= CHUNK {
            to.insert(table, std::mem::take(&mut chunk)).await?;
        }
    }
    if !chunk.is_empty() {
        to.insert(table, chunk).await?;
    }
    Ok(moved)
}

fn reseal(
    table: &Table,
    row: &mut Cells,
    old: &SealingKey,
    new: &SealingKey,
) -> Result<(), LedgerError> {
    let ids: Vec<i64> = row
        .iter()
        .map_while(|cell| match cell {
            Cell::Int(Some(id)) => Some(*id),
            _ => None,
        })
        .collect();
    for (cell, (column, kind)) in row.iter_mut().zip(table.columns) {
        let (Kind::Sealed(named_by), Cell::Bytes(Some(sealed))) = (kind, cell) else {
            continue;
        };
        let place = Place {
            table: table.name,
            row: ids.get(..*named_by).ok_or_else(|| corrupt("a row's id"))?,
            column,
        };
        let secret = old.open(place, sealed)?;
        *sealed = new.seal(place, secret.expose())?;
    }
    Ok(())
}
