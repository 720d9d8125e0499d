//! Keeping objects and budgets: on the path of every call to a vendor, so few trips to SQLite's
//! thread, whatever the number of objects.

use async_trait::async_trait;
use serde_json::json;

use super::targets::forget_empty;
use crate::cdns::raw::{Settled, budgets, firsts, settled};
use crate::cdns::{CdnSave, ObjectSave};
use crate::columns::corrupt;
use crate::error::LedgerError;
use crate::lanes::Lane;
use crate::sqlite::error::OpError;
use crate::sqlite::operation::{Operation, Tx};
use crate::sqlite::writer::run;

/// Which objects nobody else has kept meanwhile, and whether any of the targets is leaving.
const LOOK: &str = "
    SELECT (SELECT json_group_array(j.value ->> 0)
            FROM json_each($1) j CROSS JOIN accounts a
            LEFT JOIN objects o ON o.account = a.id AND o.site = j.value ->> 2
                AND o.stream = j.value ->> 3
            WHERE a.id = j.value ->> 1 AND coalesce(o.version, 0) = j.value ->> 4),
           EXISTS (SELECT 1 FROM targets
                   WHERE leaving_ms IS NOT NULL AND id IN (SELECT value FROM json_each($2)))";

/// All that a save writes. A watch is left alone unless the sixth value says otherwise.
macro_rules! write {
    ($end:literal) => {
        concat!(
            "SAVEPOINT op;
            INSERT OR REPLACE INTO objects (account, site, stream, version, state, due_ms)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
            FROM json_each($1);
            UPDATE placements SET
                accepted = iif(placements.accepted >= v.generation, placements.accepted,
                               v.generation),
                accepted_ms = iif(placements.accepted >= v.generation, placements.accepted_ms,
                                  v.at_ms),
                watch = iif(v.watched, v.watch, placements.watch),
                look_ms = iif(v.watched, v.look_ms, placements.look_ms)
            FROM (SELECT value ->> 0 AS app_id, value ->> 1 AS stream, value ->> 2 AS target,
                      value ->> 3 AS generation, value ->> 4 AS at_ms, value ->> 5 AS watched,
                      value ->> 6 AS watch, value ->> 7 AS look_ms
                  FROM json_each($2)) v
            WHERE placements.app_id = v.app_id AND placements.stream = v.stream
                AND placements.target = v.target;
            INSERT OR REPLACE INTO budgets (account, state)
            SELECT value ->> 0, value ->> 1 FROM json_each($3)
            WHERE value ->> 0 IN (SELECT id FROM accounts);",
            $end
        )
    };
}

const WRITE: &str = write!("RELEASE op");
/// What leaving targets lose is written before the savepoint ends.
const WRITE_AND_GO_ON: &str = write!("");

/// A placement of a leaving target that is open now goes. One at a time, because SQLite looks a
/// list of them up by the first part of the key only.
const END: &str = "
    DELETE FROM placements WHERE app_id = $1 AND stream = $2 AND target = $3 AND wanted <= $4
        AND EXISTS (SELECT 1 FROM targets WHERE id = $3 AND leaving_ms IS NOT NULL)";

/// [`crate::CdnLedger::save`].
pub(super) struct Save(pub CdnSave);

impl Save {
    async fn look(&self, tx: &mut Tx<'_>, targets: &str) -> Result<(Vec<usize>, bool), OpError> {
        let objects = &self.0.objects;
        let versions: Vec<_> = firsts(objects)
            .into_iter()
            .filter_map(|place| {
                let ObjectSave { key, version, .. } = objects.get(place)?;
                let stream = key.stream.as_str();
                Some((place, key.account, &key.site, stream, version))
            })
            .collect();
        let (current, leaving): (String, bool) = sqlx::query_as(LOOK)
            .bind(json!(versions).to_string())
            .bind(targets)
            .fetch_one(&mut *tx.conn)
            .await?;
        let current = serde_json::from_str(&current).map_err(|_| corrupt("an object"))?;
        Ok((current, leaving))
    }
}

#[async_trait]
impl Operation for Save {
    type Out = Vec<Option<i64>>;

    fn lane(&self) -> Lane {
        Lane::Release
    }

    fn weight(&self) -> usize {
        self.0.objects.len()
    }

    fn saves_itself(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Out, OpError> {
        let objects = &self.0.objects;
        let targets: Vec<i64> = objects
            .iter()
            .flat_map(|object| object.accepted.iter().map(|by| by.target))
            .collect();
        let targets = json!(targets).to_string();
        let (current, leaving) = self.look(tx, &targets).await?;
        let mut versions = vec![None; objects.len()];
        let mut kept = Vec::with_capacity(current.len());
        for place in current {
            if let (Some(object), Some(version)) = (objects.get(place), versions.get_mut(place)) {
                *version = Some(object.version.saturating_add(1));
                kept.push(object);
            }
        }
        let settled = settled(kept.iter().copied());
        let written = sqlx::query(if leaving { WRITE_AND_GO_ON } else { WRITE })
            .bind(objects_column(&kept))
            .bind(settled_column(&settled))
            .bind(json!(Vec::from_iter(budgets(&self.0))).to_string())
            .execute(&mut *tx.conn)
            .await;
        let mut written = written.map(|_| ()).map_err(OpError::from);
        if written.is_ok() && leaving {
            written = end(tx, &settled, &targets).await;
        }
        match written {
            Ok(()) => {}
            Err(OpError::Refused(error)) => return Err(undo(tx, error).await),
            Err(broken) => return Err(broken),
        }
        Ok(versions)
    }
}

async fn undo(tx: &mut Tx<'_>, error: LedgerError) -> OpError {
    match run(tx.conn, "ROLLBACK TO op; RELEASE op").await {
        Ok(()) => OpError::Refused(error),
        Err(error) => OpError::Broken(error),
    }
}

async fn end(tx: &mut Tx<'_>, settled: &[Settled], targets: &str) -> Result<(), OpError> {
    for row in settled {
        sqlx::query(END)
            .bind(row.app)
            .bind(row.stream.as_str())
            .bind(row.target)
            .bind(row.generation)
            .execute(&mut *tx.conn)
            .await?;
    }
    forget_empty(tx, targets).await?;
    Ok(run(tx.conn, "RELEASE op").await?)
}

fn objects_column(objects: &[&ObjectSave]) -> String {
    let list: Vec<_> = objects
        .iter()
        .map(|object| {
            let (site, stream) = (&object.key.site, object.key.stream.as_str());
            let version = object.version.saturating_add(1);
            let due = object.due.map(|at| at.0);
            (
                object.key.account,
                site,
                stream,
                version,
                &object.state,
                due,
            )
        })
        .collect();
    json!(list).to_string()
}

fn settled_column(settled: &[Settled]) -> String {
    let list: Vec<_> = settled
        .iter()
        .map(|row| {
            let (state, next) = row
                .watch
                .as_ref()
                .map_or((None, None), |(s, n)| (s.as_ref(), *n));
            let stream = row.stream.as_str();
            let watched = i64::from(row.watch.is_some());
            let (at, generation) = (row.at_ms, row.generation);
            (
                row.app, stream, row.target, generation, at, watched, state, next,
            )
        })
        .collect();
    json!(list).to_string()
}
