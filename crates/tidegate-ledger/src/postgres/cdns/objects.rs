//! Vendor objects with their owners, and which of them are due.

use sqlx::{Connection, PgConnection};
use tidegate_core::{StreamKey, UnixMs};

use crate::cdns::raw::{RawOwner, object_key, site_of, site_parts};
use crate::cdns::{ObjectKey, ObjectRow};
use crate::columns::corrupt;
use crate::error::LedgerError;
use crate::postgres::error::reading;
use crate::postgres::read::SNAPSHOT;
use crate::postgres::record::each;
use crate::postgres::rows::{free, get};

const READ: &str = "
    WITH k AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
            WITH ORDINALITY AS k (account, site, stream, domain, app, place)),
    t AS (
        SELECT k.place, k.stream, t.id, t.app_id, t.leaving_ms
        FROM k JOIN accounts a ON a.id = k.account
        JOIN targets t ON t.vendor = a.vendor AND t.publish_domain = k.domain
            AND t.rtmp_app = k.app AND t.account = a.id
        UNION ALL
        SELECT k.place, k.stream, t.id, t.app_id, t.leaving_ms
        FROM k JOIN targets t ON t.account = k.account WHERE k.domain IS NULL)
    SELECT k.place, o.version, o.state, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
        NULL::bigint, NULL::bigint, NULL::bigint, NULL, NULL::bigint
    FROM k CROSS JOIN LATERAL (SELECT version, state FROM objects
        WHERE account = k.account AND site = k.site AND stream = k.stream LIMIT 1) o
    UNION ALL
    SELECT t.place, NULL, NULL, t.app_id, t.id, p.wanted, p.accepted, t.leaving_ms,
        b.since_ms, b.until_ms, d.verb, d.at_ms
    FROM t CROSS JOIN LATERAL (SELECT wanted, accepted FROM placements
        WHERE app_id = t.app_id AND stream = t.stream AND target = t.id LIMIT 1) p
    LEFT JOIN LATERAL (SELECT since_ms, until_ms FROM blocks
        WHERE app_id = t.app_id AND stream = t.stream LIMIT 1) b ON true
    LEFT JOIN LATERAL (SELECT verb, at_ms FROM decisions
        WHERE app_id = t.app_id AND stream = t.stream ORDER BY generation DESC LIMIT 1) d ON true";

/// [`crate::CdnLedger::objects`].
pub(super) async fn read(
    conn: &mut PgConnection,
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
    let parts = |key: &ObjectKey| site_parts(&key.site).map(|(d, a)| (d.to_owned(), a.to_owned()));
    let (domains, apps): (Vec<_>, Vec<_>) = keys.iter().map(|key| parts(key).unzip()).unzip();
    let rows = sqlx::query(READ)
        .bind(each(keys, |key| key.account))
        .bind(each(keys, |key| key.site.as_str()))
        .bind(each(keys, |key| key.stream.as_str()))
        .bind(domains)
        .bind(apps)
        .fetch_all(conn)
        .await
        .map_err(|e| reading(&e))?;
    for row in &rows {
        let place: i64 = get(row, 0)?;
        let object = usize::try_from(place - 1).ok();
        let object = object.and_then(|place| objects.get_mut(place));
        let object = object.ok_or_else(|| corrupt("an object"))?;
        if let Some(version) = get(row, 1)? {
            object.version = version;
            object.state = Some(free(row, 2)?);
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

/// Where a page begins: after this site and stream.
fn after_columns(after: Option<&ObjectKey>) -> (&str, &str) {
    after.map_or(("", ""), |key| (&key.site, key.stream.as_str()))
}

/// Everything is read in the order of an index and no further than a page goes, so that a page
/// costs the same however much is due. Sites of a strict account are walked one after the other;
/// of a name-only account every target is read up to a page. Objects are read by time while few
/// are due, and by key otherwise; `coalesce` keeps the walk by key off the index by time.
const DUE: &str = "
    WITH soon AS MATERIALIZED (
        SELECT site, stream FROM objects WHERE account = $1 AND due_ms <= $2
        ORDER BY due_ms LIMIT 4097),
    few AS MATERIALIZED (SELECT count(*) <= 4096 AS yes FROM soon),
    strict AS MATERIALIZED (
        SELECT t.id, (t.publish_domain || '/' || t.rtmp_app) COLLATE \"C\" AS site
        FROM accounts a JOIN targets t ON t.account = a.id WHERE a.id = $1 AND a.strict)
    SELECT site, stream FROM (
        SELECT site, stream FROM soon
        WHERE (SELECT yes FROM few) AND (site, stream) > ($3, $4)
        UNION
        (SELECT site, stream FROM objects
        WHERE NOT (SELECT yes FROM few) AND account = $1
            AND coalesce(due_ms, 9223372036854775807) <= $2 AND (site, stream) > ($3, $4)
        ORDER BY site, stream LIMIT $5)
        UNION
        (SELECT s.site, p.stream
        FROM (SELECT id, site FROM strict WHERE site >= $3 ORDER BY site) s
        CROSS JOIN LATERAL (SELECT stream FROM placements
            WHERE target = s.id AND stream > CASE WHEN s.site = $3 THEN $4 ELSE '' END
                AND (accepted IS NULL OR accepted < wanted)
            ORDER BY stream LIMIT $5) p
        LIMIT $5)
        UNION
        (SELECT DISTINCT '*', p.stream
        FROM accounts a JOIN targets t ON t.account = a.id
        CROSS JOIN LATERAL (SELECT stream FROM placements
            WHERE target = t.id AND stream > CASE WHEN $3 = '*' THEN $4 ELSE '' END
                AND (accepted IS NULL OR accepted < wanted)
            ORDER BY stream LIMIT $5) p
        WHERE a.id = $1 AND NOT a.strict AND $3 <= '*'
        ORDER BY p.stream LIMIT $5)) due
    ORDER BY site, stream LIMIT $5";

/// [`crate::CdnLedger::due_objects`].
pub(super) async fn due(
    conn: &mut PgConnection,
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
    conn: &mut PgConnection,
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
    conn: &mut PgConnection,
    key: &StreamKey,
) -> Result<Vec<(i64, ObjectRow)>, LedgerError> {
    let mut snapshot = conn.begin_with(SNAPSHOT).await.map_err(|e| reading(&e))?;
    let rows: Vec<(i64, i64, bool, String, String)> = sqlx::query_as(
        "SELECT t.id, a.id, a.strict, t.publish_domain, t.rtmp_app
         FROM targets t JOIN accounts a ON a.id = t.account WHERE t.app_id = $1 ORDER BY t.id",
    )
    .bind(i64::from(key.app.0))
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
