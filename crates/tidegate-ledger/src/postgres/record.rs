//! All that a run of decisions writes, in one statement: a trip to the server costs more than the
//! rows do.

use std::collections::HashMap;

use tidegate_core::{AppId, Block, StreamKey};

use super::operation::Tx;
use super::rows::{escaped, maybe_escaped};
use crate::chain::{Hash, RawDecision, Tip};
use crate::columns::{column, until_column};
use crate::model::{NonceRecord, Placement};

const WRITE: &str = "
    WITH links AS (
        INSERT INTO chain (seq, kind, digest, hash)
        SELECT seq, 'decision', digest, hash
        FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS t (seq, digest, hash)
    ), history AS (
        INSERT INTO decisions (link, app_id, stream, generation, verb, until_ms, held, actor,
            operator, client, reason, at_ms, request_id)
        SELECT * FROM unnest($1::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
            $8::bigint[], $9::boolean[], $10::text[], $11::text[], $12::text[], $13::text[],
            $14::bigint[], $15::bigint[])
    ), lifted AS (
        DELETE FROM blocks USING unnest($16::bigint[], $17::text[]) AS k (app, name)
        WHERE app_id = k.app AND stream = k.name
    ), blocked AS (
        INSERT INTO blocks (app_id, stream, generation, since_ms, until_ms, held_resume)
        SELECT * FROM unnest($18::bigint[], $19::text[], $20::bigint[], $21::bigint[],
            $22::bigint[], $23::bigint[])
        ON CONFLICT (app_id, stream) DO UPDATE SET generation = excluded.generation,
            since_ms = excluded.since_ms, until_ms = excluded.until_ms,
            held_resume = excluded.held_resume
    ), placed AS (
        INSERT INTO placements (app_id, stream, target, wanted, accepted, accepted_ms)
        SELECT * FROM unnest($24::bigint[], $25::text[], $26::bigint[], $27::bigint[],
            $28::bigint[], $29::bigint[])
        ON CONFLICT (app_id, stream, target) DO UPDATE SET wanted = excluded.wanted,
            accepted = excluded.accepted, accepted_ms = excluded.accepted_ms
    )
    INSERT INTO nonces (app_id, nonce, digest, expires_ms, request_id, stream, generation)
    SELECT * FROM unnest($30::bigint[], $31::text[], $32::bytea[], $33::bigint[], $34::bigint[],
        $35::text[], $36::bigint[])
    ON CONFLICT (app_id, nonce) DO UPDATE SET digest = excluded.digest,
        expires_ms = excluded.expires_ms, request_id = excluded.request_id,
        stream = excluded.stream, generation = excluded.generation, answer = NULL";

/// What is to be written. Of blocks, placements and nonces only the last state counts.
#[derive(Default)]
pub(super) struct Writes {
    pub links: Vec<(Tip, Hash)>,
    pub decisions: Vec<RawDecision>,
    pub blocks: HashMap<StreamKey, Option<Block>>,
    pub placements: HashMap<(StreamKey, i64), Placement>,
    pub nonces: HashMap<(AppId, String), NonceRecord>,
}

/// One column of rows.
pub(super) fn each<'a, T: 'a, C>(
    rows: impl IntoIterator<Item = T>,
    column: impl Fn(T) -> C,
) -> Vec<C> {
    rows.into_iter().map(column).collect()
}

impl Writes {
    /// Writes it all.
    pub(super) async fn write(self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        let rows = &self.decisions;
        if rows.is_empty() {
            return Ok(());
        }
        let lifted: Vec<&StreamKey> = self
            .blocks
            .iter()
            .filter_map(|(key, block)| block.is_none().then_some(key))
            .collect();
        let set: Vec<(&StreamKey, &Block)> = self
            .blocks
            .iter()
            .filter_map(|(key, block)| Some((key, block.as_ref()?)))
            .collect();
        let placed: Vec<_> = self.placements.iter().collect();
        let nonces: Vec<_> = self.nonces.values().collect();
        let app = |key: &StreamKey| i64::from(key.app.0);
        let name = |key: &StreamKey| key.stream.as_str().to_owned();
        sqlx::query(WRITE)
            .bind(each(&self.links, |(tip, _)| tip.seq))
            .bind(each(&self.links, |(_, digest)| digest.to_vec()))
            .bind(each(&self.links, |(tip, _)| tip.hash.to_vec()))
            .bind(each(rows, |r| r.app))
            .bind(each(rows, |r| r.stream.as_str()))
            .bind(each(rows, |r| r.generation))
            .bind(each(rows, |r| r.verb.as_str()))
            .bind(each(rows, |r| r.until_ms))
            .bind(each(rows, |r| r.held))
            .bind(each(rows, |r| r.by.actor.as_deref()))
            .bind(each(rows, |r| maybe_escaped(r.by.operator.as_deref())))
            .bind(each(rows, |r| r.by.client.as_deref()))
            .bind(each(rows, |r| maybe_escaped(r.reason.as_deref())))
            .bind(each(rows, |r| r.at_ms))
            .bind(each(rows, |r| r.request_id))
            .bind(each(&lifted, |key| app(key)))
            .bind(each(&lifted, |key| name(key)))
            .bind(each(&set, |(key, _)| app(key)))
            .bind(each(&set, |(key, _)| name(key)))
            .bind(each(&set, |(_, b)| column(b.generation.0)))
            .bind(each(&set, |(_, b)| b.since.0))
            .bind(each(&set, |(_, b)| until_column(b.until)))
            .bind(each(&set, |(_, b)| b.held_resume.map(|g| column(g.0))))
            .bind(each(&placed, |((key, _), _)| app(key)))
            .bind(each(&placed, |((key, _), _)| name(key)))
            .bind(each(&placed, |((_, target), _)| *target))
            .bind(each(&placed, |(_, p)| column(p.wanted.0)))
            .bind(each(&placed, |(_, p)| p.accepted.map(|g| column(g.0))))
            .bind(each(&placed, |(_, p)| p.accepted_at.map(|at| at.0)))
            .bind(each(&nonces, |n| i64::from(n.app.0)))
            .bind(each(&nonces, |n| escaped(&n.used.nonce).into_owned()))
            .bind(each(&nonces, |n| n.used.digest.to_vec()))
            .bind(each(&nonces, |n| n.used.expires.0))
            .bind(each(&nonces, |n| column(n.request_id.0)))
            .bind(each(&nonces, |n| name(&n.key)))
            .bind(each(&nonces, |n| column(n.generation.0)))
            .execute(&mut *tx.conn)
            .await
            .map(|_| ())
    }
}
