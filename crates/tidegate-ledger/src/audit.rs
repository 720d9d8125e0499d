//! Verification of the hash chain, straight from the ledger file or the PostgreSQL server.
//!
//! Everything is computed again from the history rows: each row against its link, each link
//! against the one before, and the standing blocks against what history says. The file is opened
//! read-only, so this works while a server is using it. What one file cannot show by itself is a
//! tail that was cut off together with all that followed from it: keep a [`Head`] elsewhere and
//! compare with it.

pub(crate) mod history;
mod postgres;
mod replay;
mod sqlite;

use std::path::Path;

use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::chain::{LinkKind, Tip, attempts_digest};
use crate::error::LedgerError;
use crate::model::{Head, Verdict};
use crate::postgres::error as pg;
use crate::postgres::read::SNAPSHOT;
use crate::postgres::url::LedgerUrl;
use crate::sqlite::connect;
use crate::sqlite::error::reading;
use crate::sqlite::open::FILE;
use crate::sqlite::operation::read_tip;
use history::{History, Stray, Window};
use replay::Replay;

/// Links checked at a time.
const WINDOW: i64 = 4096;

/// Verifies the ledger in a data directory, and that it contains `expected`.
///
/// `Unavailable`: there is no ledger, or it cannot be read. `Corrupt`: it is no ledger that this
/// version can read.
pub async fn verify(data_dir: &Path, expected: Option<&Head>) -> Result<Verdict, LedgerError> {
    let mut conn = connect::look(&data_dir.join(FILE)).await?;
    let verdict = verify_connection(&mut conn, expected).await;
    let _ = conn.close().await;
    verdict
}

/// The head of the chain of the ledger in a data directory.
pub async fn head(data_dir: &Path) -> Result<Head, LedgerError> {
    let mut conn = connect::look(&data_dir.join(FILE)).await?;
    let tip = read_tip(&mut conn).await.map_err(|e| reading(&e));
    let _ = conn.close().await;
    Ok(tip?.head())
}

/// As [`verify`], for a ledger on a PostgreSQL server.
pub async fn verify_postgres(
    url: &LedgerUrl,
    expected: Option<&Head>,
) -> Result<Verdict, LedgerError> {
    let mut conn = look_postgres(url).await?;
    let begun = conn.begin_with(SNAPSHOT).await;
    let mut snapshot = begun.map_err(|e| pg::reading(&e))?;
    verify_history(&mut *snapshot, expected).await
}

/// As [`head`], for a ledger on a PostgreSQL server.
pub async fn head_postgres(url: &LedgerUrl) -> Result<Head, LedgerError> {
    let mut conn = look_postgres(url).await?;
    let tip = crate::postgres::read_tip(&mut conn).await;
    Ok(tip.map_err(|e| pg::reading(&e))?.head())
}

async fn look_postgres(url: &LedgerUrl) -> Result<PgConnection, LedgerError> {
    let options = url.options().map_err(|e| pg::unavailable("opened", &e))?;
    crate::postgres::connect::look(&options).await
}

/// As [`verify`], in one snapshot of an open connection.
pub(crate) async fn verify_connection(
    conn: &mut SqliteConnection,
    expected: Option<&Head>,
) -> Result<Verdict, LedgerError> {
    let mut snapshot = conn.begin().await.map_err(|e| reading(&e))?;
    verify_history(&mut *snapshot, expected).await
}

/// Why a verification ends early.
pub(crate) enum Stop {
    /// Something is wrong, in words.
    Broken(String),
    /// It cannot be told.
    Unreadable(LedgerError),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Unreadable(reading(&error))
    }
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Unreadable(error)
    }
}

fn broken<T>(words: String) -> Result<T, Stop> {
    Err(Stop::Broken(words))
}

/// Verifies what `history` shows, which must not change meanwhile.
pub(crate) async fn verify_history(
    history: &mut impl History,
    expected: Option<&Head>,
) -> Result<Verdict, LedgerError> {
    match check(history, expected).await {
        Ok(head) => Ok(Verdict::Intact(head)),
        Err(Stop::Broken(words)) => Ok(Verdict::Broken(words)),
        Err(Stop::Unreadable(error)) => Err(error),
    }
}

async fn check(history: &mut impl History, expected: Option<&Head>) -> Result<Head, Stop> {
    let last = history.last_link().await?;
    if let Some(Stray { what, link }) = history.stray(last).await? {
        return broken(format!(
            "there is a row of kind {what} numbered {link}, but the chain has links 1 to {last}: \
             the row was inserted, or the end of the chain was removed"
        ));
    }
    let mut tip = Tip::EMPTY;
    let mut replay = Replay::default();
    while tip.seq < last {
        let from = tip.seq.saturating_add(1);
        let to = from.saturating_add(WINDOW - 1).min(last);
        let window = history.window(from, to).await?;
        tip = check_window(&window, tip, last, &mut replay, expected)?;
    }
    if let Some(head) = expected
        && head.length > tip.head().length
    {
        return broken(format!(
            "the chain ends at link {}, but link {} is known: the tail of history was cut off",
            tip.seq, head.length
        ));
    }
    replay.compare(history.held().await?, history.blocks().await?)?;
    if !history.append_only().await? {
        return broken(
            "every link holds, but triggers that keep history append-only were removed".to_owned(),
        );
    }
    Ok(tip.head())
}

/// Follows the chain through a window. Returns the tip after it.
fn check_window(
    window: &Window,
    mut tip: Tip,
    last: i64,
    replay: &mut Replay,
    expected: Option<&Head>,
) -> Result<Tip, Stop> {
    for seq in window.range() {
        let Some(link) = window.links.get(&seq) else {
            return broken(format!("link {seq} of {last} is missing from the chain"));
        };
        let Some(kind) = LinkKind::parse(&link.kind) else {
            return broken(format!("link {seq} is of an unknown kind {:?}", link.kind));
        };
        let digest = check_rows(window, seq, kind, replay)?;
        if link.digest != digest {
            return broken(format!("link {seq}: {} was changed", window.describe(seq)));
        }
        tip = tip.next(kind, &digest);
        if link.hash != tip.hash {
            return broken(format!(
                "link {seq} does not follow from link {}: it was changed, or links were put in \
                 another order",
                seq - 1
            ));
        }
        if let Some(head) = expected
            && head.length == tip.head().length
            && head.hash != tip.head().hash
        {
            return broken(format!(
                "link {seq} has the hash {}, but {} is known: history was rewritten",
                tip.head().hash,
                head.hash
            ));
        }
    }
    Ok(tip)
}

/// The digest of the history rows of a link, which must be there and of its kind only.
fn check_rows(
    window: &Window,
    seq: i64,
    kind: LinkKind,
    replay: &mut Replay,
) -> Result<[u8; 32], Stop> {
    let decision = window.decisions.get(&seq);
    let event = window.events.get(&seq);
    let attempts = window.attempts.get(&seq);
    let found = [decision.is_some(), event.is_some(), attempts.is_some()];
    let wanted = [
        kind == LinkKind::Decision,
        kind == LinkKind::Event,
        kind == LinkKind::Attempts,
    ];
    for ((found, wanted), what) in found
        .into_iter()
        .zip(wanted)
        .zip(["decision", "event", "attempts"])
    {
        match (found, wanted) {
            (false, true) => {
                return broken(format!("link {seq}: its {what} is missing from history"));
            }
            (true, false) => {
                return broken(format!(
                    "link {seq}: {} was inserted, the link is of kind {}",
                    window.describe(seq),
                    kind.word()
                ));
            }
            _ => {}
        }
    }
    if let Some(row) = decision {
        replay.decision(seq, row)?;
        return Ok(row.digest());
    }
    if let Some(row) = event {
        replay.event(row);
        return Ok(row.digest());
    }
    Ok(attempts_digest(attempts.into_iter().flatten()))
}
