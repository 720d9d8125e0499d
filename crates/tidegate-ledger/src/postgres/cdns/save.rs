//! Keeping objects and budgets: on the path of every call to a vendor, so one statement, whatever
//! the number of objects.

use async_trait::async_trait;

use super::targets::forget_empty;
use crate::cdns::CdnSave;
use crate::cdns::raw::{Settled, budgets, firsts, settled};
use crate::columns::corrupt;
use crate::lanes::Lane;
use crate::postgres::error::OpError;
use crate::postgres::operation::{Operation, Tx};
use crate::postgres::record::each;
use crate::postgres::rows::{escaped, maybe_escaped};

/// What a leaving target settles is open now, so it goes. All parts see the rows as they were.
const SAVE: &str = "
    WITH current AS (
        SELECT k.* FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
            $6::text[], $7::bigint[]) AS k (place, account, site, stream, version, state, due_ms)
        JOIN accounts a ON a.id = k.account
        LEFT JOIN LATERAL (SELECT version FROM objects o WHERE o.account = k.account
            AND o.site = k.site AND o.stream = k.stream LIMIT 1) o ON true
        WHERE coalesce(o.version, 0) = k.version
    ), kept AS (
        INSERT INTO objects (account, site, stream, state, version, due_ms)
        SELECT account, site, stream, state, version + 1, due_ms FROM current
        ON CONFLICT (account, site, stream) DO UPDATE SET state = excluded.state,
            version = excluded.version, due_ms = excluded.due_ms
    ), settled AS (
        SELECT v.*, t.leaving_ms IS NOT NULL AS leaving
        FROM unnest($8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::bigint[],
            $13::bigint[], $14::boolean[], $15::text[], $16::bigint[])
            AS v (place, app, name, at, generation, at_ms, watched, state, next_ms)
        JOIN current ON current.place = v.place
        JOIN targets t ON t.id = v.at
    ), accepted AS (
        UPDATE placements p SET
            accepted = greatest(p.accepted, v.generation),
            accepted_ms = CASE WHEN p.accepted >= v.generation THEN p.accepted_ms
                ELSE v.at_ms END,
            watch = CASE WHEN v.watched THEN v.state ELSE p.watch END,
            look_ms = CASE WHEN v.watched THEN v.next_ms ELSE p.look_ms END
        FROM settled v
        WHERE p.app_id = v.app AND p.stream = v.name AND p.target = v.at
            AND NOT (v.leaving AND p.wanted <= v.generation)
    ), ended AS (
        DELETE FROM placements p USING settled v
        WHERE p.app_id = v.app AND p.stream = v.name AND p.target = v.at
            AND v.leaving AND p.wanted <= v.generation
        RETURNING p.target
    ), spent AS (
        INSERT INTO budgets (account, state)
        SELECT b.account, b.state FROM unnest($17::bigint[], $18::text[]) AS b (account, state)
        JOIN accounts a ON a.id = b.account
        ON CONFLICT (account) DO UPDATE SET state = excluded.state
    )
    SELECT (SELECT array_agg(place) FROM current), (SELECT array_agg(DISTINCT target) FROM ended)";

/// [`crate::CdnLedger::save`].
pub(super) struct Save(pub CdnSave);

#[async_trait]
impl Operation for Save {
    type Out = Vec<Option<i64>>;

    fn lane(&self) -> Lane {
        Lane::Release
    }

    fn weight(&self) -> usize {
        self.0.objects.len()
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Out, OpError> {
        let places = firsts(&self.0.objects);
        let objects: Vec<_> = places
            .iter()
            .filter_map(|place| Some((place_column(*place), self.0.objects.get(*place)?)))
            .collect();
        let settled: Vec<(i64, Settled)> = objects
            .iter()
            .flat_map(|(place, object)| settled([*object]).into_iter().map(|row| (*place, row)))
            .collect();
        let watch = |row: &Settled| row.watch.clone().unwrap_or_default();
        let budgets = budgets(&self.0);
        let (current, ended): (Option<Vec<i64>>, Option<Vec<i64>>) = sqlx::query_as(SAVE)
            .bind(each(&objects, |(place, _)| *place))
            .bind(each(&objects, |(_, o)| o.key.account))
            .bind(each(&objects, |(_, o)| o.key.site.as_str()))
            .bind(each(&objects, |(_, o)| o.key.stream.as_str()))
            .bind(each(&objects, |(_, o)| o.version))
            .bind(each(&objects, |(_, o)| escaped(&o.state).into_owned()))
            .bind(each(&objects, |(_, o)| o.due.map(|at| at.0)))
            .bind(each(&settled, |(place, _)| *place))
            .bind(each(&settled, |(_, row)| row.app))
            .bind(each(&settled, |(_, row)| row.stream.as_str()))
            .bind(each(&settled, |(_, row)| row.target))
            .bind(each(&settled, |(_, row)| row.generation))
            .bind(each(&settled, |(_, row)| row.at_ms))
            .bind(each(&settled, |(_, row)| row.watch.is_some()))
            .bind(each(&settled, |(_, row)| {
                maybe_escaped(watch(row).0.as_deref())
            }))
            .bind(each(&settled, |(_, row)| watch(row).1))
            .bind(each(budgets.keys(), |account| *account))
            .bind(each(budgets.values(), |state| escaped(state).into_owned()))
            .fetch_one(&mut *tx.conn)
            .await?;
        if let Some(targets) = ended {
            forget_empty(tx, &targets).await?;
        }
        let mut versions = vec![None; self.0.objects.len()];
        for place in current.unwrap_or_default() {
            let place = usize::try_from(place).map_err(|_| corrupt("an object"))?;
            if let (Some(object), Some(version)) =
                (self.0.objects.get(place), versions.get_mut(place))
            {
                *version = Some(object.version.saturating_add(1));
            }
        }
        Ok(versions)
    }
}

fn place_column(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}
