//! The contract of `trait Ledger`: one suite, run on every back end.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

mod cases;
mod changes;
#[path = "../support/cluster.rs"]
mod cluster;
mod fixture;

use cluster::Cluster;
use tempfile::TempDir;
use tidegate_ledger::{LedgerUrl, OpenOptions, PostgresLedger, SqliteLedger};

/// Makes one test of each case on one back end. The back end gives a fresh ledger and something
/// that keeps it alive.
macro_rules! contract {
    ($backend:ident, $open:path, [$($case:ident),* $(,)?]) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (ledger, _keep) = $open().await;
                    super::cases::$case(&ledger).await;
                }
            )*
        }
    };
}

/// Every case, on one back end.
macro_rules! every_case {
    ($backend:ident, $open:path) => {
        contract!(
            $backend,
            $open,
            [
                a_fresh_ledger_is_empty,
                instances_rise_from_one,
                an_app_comes_back_as_it_was_made,
                taken_ids_and_rtmp_names_are_conflicts,
                rotation_keeps_one_earlier_secret_until_its_end,
                rotation_at_once_ends_every_earlier_secret,
                a_rotated_publish_key_leaves_the_earlier_one_as_backup_if_kept,
                disabling_an_unknown_app_says_so,
                the_admin_token_is_replaced,
                a_forbid_blocks_and_is_remembered,
                a_resume_opens_and_generations_keep_rising,
                streams_of_different_apps_do_not_meet,
                a_decision_for_an_unknown_app_is_refused,
                the_same_nonce_and_request_is_a_replay,
                the_same_nonce_for_another_request_is_taken,
                a_nonce_is_free_again_once_expired,
                concurrent_twins_are_decided_once,
                blocks_load_whole_over_many_pages,
                due_ends_come_earliest_first_with_the_next,
                a_lapse_opens_unless_a_newer_decision_stands,
                attempts_are_listed_newest_first,
                the_chain_grows_with_history_only,
                the_newest_instant_covers_decisions_attempts_and_marks,
                clock_marks_are_replaced,
                concurrent_callers_get_distinct_generations,
                hostile_text_is_stored_as_it_came,
                a_refused_operation_leaves_nothing_behind,
                probing_succeeds,
                changes_show_each_stream_as_it_stands,
                changes_tell_of_apps_and_of_history_that_is_gone,
                long_histories_are_followed_in_parts,
            ]
        );
    };
}

async fn sqlite_ledger() -> (SqliteLedger, TempDir) {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = SqliteLedger::open(OpenOptions::new(dir.path()))
        .await
        .expect("a fresh ledger opens");
    (ledger, dir)
}

async fn postgres_ledger() -> (PostgresLedger, (TempDir, Cluster)) {
    let cluster = Cluster::shared();
    let url = LedgerUrl::parse(&cluster.database()).expect("a URL");
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = PostgresLedger::open(&url, &OpenOptions::new(dir.path()))
        .await
        .expect("a fresh ledger opens");
    (ledger, (dir, cluster))
}

every_case!(sqlite, super::sqlite_ledger);
every_case!(postgres, super::postgres_ledger);
