//! The trait that every back end implements.

use std::path::Path;

use async_trait::async_trait;
use tidegate_core::{Actor, AppId, Ask, Block, Generation, RequestId, Secret, StreamKey, UnixMs};

use crate::cdns::CdnLedger;
use crate::error::LedgerError;
use crate::model::{
    App, Attempt, Bound, Changes, ClockMark, Cursor, Head, NonceRecord, NonceUse, RestoreHold,
    SavedAnswer, StreamStatus, Target,
};

/// The durable store. Every writing method returns after its commit is on disk, and an error means
/// that nothing was written. Writes are ordered by lane: takedowns first, then resumes and ends,
/// then everything else; within a lane in order of arrival.
#[async_trait]
pub trait Ledger: CdnLedger + Send + Sync + 'static {
    /// A number that no other start of a server on this ledger gets. Rises from 1.
    async fn next_instance(&self) -> Result<u64, LedgerError>;

    /// All Apps, oldest first, with the ServerSecrets that are live at `now`.
    async fn apps(&self, now: UnixMs) -> Result<Vec<App>, LedgerError>;

    /// Adds an App and its origin target. `Conflict` if its id or RTMP app name is taken.
    async fn create_app(&self, app: &App) -> Result<(), LedgerError>;

    /// Makes `secret` the current ServerSecret; earlier ones end at `earlier_end` or their own
    /// end, whichever comes first, and only the newest of them stays live beside it.
    async fn rotate_secret(
        &self,
        app: AppId,
        secret: &Secret,
        now: UnixMs,
        earlier_end: UnixMs,
    ) -> Result<(), LedgerError>;

    /// Makes `key` the publish key. The earlier one becomes the backup key, which publish URLs may
    /// be signed with too, if it is to be kept; the earlier backup key ends either way.
    async fn rotate_publish_key(
        &self,
        app: AppId,
        key: &Secret,
        keep_earlier: bool,
    ) -> Result<(), LedgerError>;

    /// Disables an App or enables it again.
    async fn set_disabled(&self, app: AppId, disabled: bool) -> Result<(), LedgerError>;

    /// The targets of an App, its origin target first.
    async fn targets(&self, app: AppId) -> Result<Vec<Target>, LedgerError>;

    /// SHA-256 of the admin token, if one was set.
    async fn admin_token(&self) -> Result<Option<[u8; 32]>, LedgerError>;

    /// Replaces the admin token.
    async fn set_admin_token(&self, digest: [u8; 32]) -> Result<(), LedgerError>;

    /// Decides `ask` over the block that stands and records the decision, the block, the wanted
    /// generation of every placement, the use of the nonce and a link of the chain, in one
    /// transaction.
    async fn decide(&self, ask: Ask, nonce: Option<NonceUse>) -> Result<Bound, LedgerError>;

    /// Keeps the answers that were given to the requests that bound their nonces.
    async fn save_answers(&self, answers: Vec<SavedAnswer>) -> Result<(), LedgerError>;

    /// Bound nonces that have not expired at `now`; expired ones are forgotten.
    async fn live_nonces(&self, now: UnixMs) -> Result<Vec<NonceRecord>, LedgerError>;

    /// Hands every standing block to `visit`.
    async fn load_blocks(
        &self,
        visit: &mut (dyn FnMut(StreamKey, Block) + Send),
    ) -> Result<(), LedgerError>;

    /// Blocks whose end is at or before `now`, earliest first, at most `limit`, and the earliest
    /// end after those, if any.
    async fn due_ends(
        &self,
        now: UnixMs,
        limit: usize,
    ) -> Result<(Vec<(StreamKey, Block)>, Option<UnixMs>), LedgerError>;

    /// Records that the block of decision `block` reached its end, as a decision of its own, and
    /// returns its generation; `None` if a newer decision stands. Does nothing else while resumes
    /// are held: callers ask [`Ledger::restore_hold`] first.
    async fn lapse(
        &self,
        key: StreamKey,
        block: Generation,
        at: UnixMs,
    ) -> Result<Option<Generation>, LedgerError>;

    /// Everything known of one stream.
    async fn status(&self, key: &StreamKey) -> Result<StreamStatus, LedgerError>;

    /// Appends attempts, with one link of the chain over the batch.
    async fn record_attempts(&self, attempts: Vec<Attempt>) -> Result<(), LedgerError>;

    /// Whether resumes are held since a restore.
    async fn restore_hold(&self) -> Result<Option<RestoreHold>, LedgerError>;

    /// Ends the hold. Resumes recorded meanwhile take effect; returns the streams they opened.
    async fn confirm_restore(
        &self,
        by: Actor,
        at: UnixMs,
        request_id: RequestId,
    ) -> Result<Vec<(StreamKey, Generation)>, LedgerError>;

    /// The last clock reading kept.
    async fn clock_mark(&self) -> Result<Option<ClockMark>, LedgerError>;

    /// Keeps a clock reading.
    async fn set_clock_mark(&self, mark: ClockMark) -> Result<(), LedgerError>;

    /// The newest instant at which anything was decided, attempted or marked.
    async fn newest_instant(&self) -> Result<Option<UnixMs>, LedgerError>;

    /// The head of the chain.
    async fn head(&self) -> Result<Head, LedgerError>;

    /// Where the ledger is right now, to follow it from here with [`Ledger::changes_since`].
    async fn cursor(&self) -> Result<Cursor, LedgerError>;

    /// What happened after `seen`, by whichever server; this server's own decisions too. Reads a
    /// bounded part of history at a time.
    async fn changes_since(&self, seen: &Cursor) -> Result<Changes, LedgerError>;

    /// Returns when another server may have changed something: at once when one says so, and every
    /// second in case nobody could. Never returns on a ledger that only this server can write.
    /// One caller at a time.
    async fn changed(&self);

    /// Writes a complete, consistent copy to a new file while the ledger is in use.
    async fn backup(&self, to: &Path) -> Result<(), LedgerError>;

    /// Whether the ledger can be written right now: commits a harmless row.
    async fn probe(&self) -> Result<(), LedgerError>;
}
