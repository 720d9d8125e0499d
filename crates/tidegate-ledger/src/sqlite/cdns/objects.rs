//! Vendor objects with their owners, and which of them are due.

use sqlx::{Connection, SqliteConnection};
use tidegate_core::{StreamKey, UnixMs};

use crate::cdns::raw::{RawOwner, object_key, site_of, site_parts};
use crate::cdns::{ObjectKey, ObjectRow};
use crate::columns::corrupt;
use crate::error::LedgerError;
use crate::sqlite::error::reading;
use crate::sqlite::rows::get;

/// `CROSS JOIN` fixes the order of the loops: keys first, everything else by its index.
const READ: &str = "
    WITH k (place, account, site, stream, domain, app) AS MATERIALIZED (
        SELECT key, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
        FROM json_each($1)),
    t (place, stream, id, app_id, leaving_ms) AS (
        SELECT k.place, k.stream, t.id, t.app_id, t.leaving_ms
        FROM k CROSS JOIN accounts a CROSS JOIN targets t
        WHERE k.domain IS NOT NULL AND a.id = k.account AND t.vendor = a.vendor
            AND t.publish_domain = k.domain AND t.rtmp_app = k.app AND t.account = a.id
        UNION ALL
        SELECT k.place, k.stream, t.id, t.app_id, t.leaving_ms
        FROM k CROSS JOIN targets t WHERE k.domain IS NULL AND t.account = k.account)
    SELECT k.place, o.version, o.state, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM k CROSS JOIN objects o
    WHERE o.account = k.account AND o.site = k.site AND o.stream = k.stream
    UNION ALL
    SELECT t.place, NULL, NULL, p.app_id, t.id, p.wanted, p.accepted, t.leaving_ms,
        b.since_ms, b.until_ms, d.verb, d.at_ms
    FROM t CROSS JOIN placements p
        ON p.app_id = t.app_id AND p.stream = t.stream AND p.target = t.id
    LEFT JOIN blocks b ON b.app_id = p.app_id AND b.stream = p.stream
    LEFT JOIN decisions d ON d.app_id = p.app_id AND d.stream = p.stream
        AND d.generation = (SELECT max(generation) FROM decisions
                            WHERE app_id = p.app_id AND stream = p.stream)";

/// [`crate::CdnLedger::objects`].
pub(super) async fn read(
    conn: &mut SqliteConnection,
    keys: &[ObjectKey],
) -> Result<Vec<ObjectRow>, LedgerError> {
    let mut objects: Vec<ObjectRow> = keys
        .iter()
        .map(|key| ObjectRow {
            key: key.clone(),
            state: None,
            version: 0,
            owners: Vec::new(),
        })
        .collect();
    if keys.is_empty() {
        return Ok(objects);
    }
    let rows = sqlx::query(READ)
        .bind(keys_column(keys))
        .fetch_all(conn)
        .await
        .map_err(|e| reading(&e))?;
    for row in &rows {
        let place: i64 = get(row, 0)?;
        let object = usize::try_from(place).ok();
        let object = object.and_then(|place| objects.get_mut(place));
        let object = object.ok_or_else(|| corrupt("an object"))?;
        if let Some(version) = get(row, 1)? {
            object.version = version;
            object.state = get(row, 2)?;
            continue;
        }
        let block = get::<Option<i64>>(row, 8)?.zip(get(row, 9)?);
        let newest = get::<Option<String>>(row, 10)?.zip(get(row, 11)?);
        let owner = RawOwner {
            app: get(row, 3)?,
            target: get(row, 4)?,
            wanted: get(row, 5)?,
            accepted: get(row, 6)?,
            leaving_ms: get(row, 7)?,
            block,
            newest,
        };
        object.owners.push(owner.value()?);
    }
    for object in &mut objects {
        object.owners.sort_by_key(|owner| owner.owner.id);
    }
    Ok(objects)
}

fn keys_column(keys: &[ObjectKey]) -> String {
    let list: Vec<_> = keys
        .iter()
        .map(|key| {
            let (domain, app) = site_parts(&key.site).unzip();
            (key.account, &key.site, key.stream.as_str(), domain, app)
        })
        .collect();
    serde_json::json!(list).to_string()
}

/// Where a page begins: after this site and stream.
fn after_columns(after: Option<&ObjectKey>) -> (&str, &str) {
    after.map_or(("", ""), |key| (&key.site, key.stream.as_str()))
}

/// A page costs what it returns, however much is due. `merged` walks the indexes of all targets at
/// once: its queue holds the next unsettled stream of each, and gives out the lowest. Objects are
/// read by time while few are due, and by key otherwise; `account = NULL` finds nothing, and `+`
/// keeps the walk by key off the index by time.
const DUE: &str = "
    WITH RECURSIVE soon AS MATERIALIZED (
        SELECT site, stream FROM objects INDEXED BY objects_due
        WHERE account = $1 AND due_ms <= $2 LIMIT 4097),
    few AS MATERIALIZED (SELECT count(*) <= 4096 AS yes FROM soon),
    merged (site, stream, target) AS (
        SELECT s.site, (SELECT min(p.stream) FROM placements p INDEXED BY placements_unsettled
                        WHERE p.target = s.id AND p.stream > iif(s.site = $3, $4, '')
                            AND (p.accepted IS NULL OR p.accepted < p.wanted)), s.id
        FROM (SELECT t.id, iif(a.strict, t.publish_domain || '/' || t.rtmp_app, '*') AS site
              FROM accounts a CROSS JOIN targets t WHERE a.id = $1 AND t.account = a.id) s
        WHERE s.site >= $3
        UNION ALL
        SELECT m.site, (SELECT min(p.stream) FROM placements p INDEXED BY placements_unsettled
                        WHERE p.target = m.target AND p.stream > m.stream
                            AND (p.accepted IS NULL OR p.accepted < p.wanted)), m.target
        FROM merged m WHERE m.stream IS NOT NULL
        ORDER BY 1, 2)
    SELECT site, stream FROM (
        SELECT site, stream FROM soon
        WHERE (SELECT yes FROM few) AND (site, stream) > ($3, $4)
        UNION
        SELECT * FROM (SELECT site, stream FROM objects
            WHERE account = (SELECT iif(yes, NULL, $1) FROM few) AND +due_ms <= $2
                AND (site, stream) > ($3, $4) ORDER BY site, stream LIMIT $5)
        UNION
        SELECT * FROM (SELECT DISTINCT site, stream FROM merged WHERE stream IS NOT NULL LIMIT $5))
    ORDER BY site, stream LIMIT $5";

/// [`crate::CdnLedger::due_objects`].
pub(super) async fn due(
    conn: &mut SqliteConnection,
    account: i64,
    before: UnixMs,
    after: Option<&ObjectKey>,
    limit: usize,
) -> Result<Vec<ObjectKey>, LedgerError> {
    let (site, stream) = after_columns(after);
    let rows: Vec<(String, String)> = sqlx::query_as(DUE)
        .bind(account)
        .bind(before.0)
        .bind(site)
        .bind(stream)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await
        .map_err(|e| reading(&e))?;
    rows.iter()
        .map(|(site, stream)| object_key(account, site, stream))
        .collect()
}

/// [`crate::CdnLedger::kept_objects`].
pub(super) async fn kept(
    conn: &mut SqliteConnection,
    account: i64,
    after: Option<&ObjectKey>,
    limit: usize,
) -> Result<Vec<ObjectKey>, LedgerError> {
    let (site, stream) = after_columns(after);
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT site, stream FROM objects WHERE account = $1 AND (site, stream) > ($2, $3)
         ORDER BY site, stream LIMIT $4",
    )
    .bind(account)
    .bind(site)
    .bind(stream)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.iter()
        .map(|(site, stream)| object_key(account, site, stream))
        .collect()
}

/// [`crate::CdnLedger::objects_of`].
pub(super) async fn of_stream(
    conn: &mut SqliteConnection,
    key: &StreamKey,
) -> Result<Vec<(i64, ObjectRow)>, LedgerError> {
    let mut snapshot = conn.begin().await.map_err(|e| reading(&e))?;
    let rows: Vec<(i64, i64, bool, String, String)> = sqlx::query_as(
        "SELECT t.id, a.id, a.strict, t.publish_domain, t.rtmp_app
         FROM targets t JOIN accounts a ON a.id = t.account WHERE t.app_id = $1 ORDER BY t.id",
    )
    .bind(key.app.0)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(|e| reading(&e))?;
    let (targets, keys): (Vec<i64>, Vec<ObjectKey>) = rows
        .into_iter()
        .map(|(target, account, strict, domain, app)| {
            let site = site_of(strict, &domain, &app);
            let stream = key.stream.clone();
            let object = ObjectKey {
                account,
                site,
                stream,
            };
            (target, object)
        })
        .unzip();
    let objects = read(&mut snapshot, &keys).await?;
    Ok(targets.into_iter().zip(objects).collect())
}
