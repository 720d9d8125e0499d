//! The contract of `trait Ledger`: one suite, run on every back end.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

mod cases;
mod cdns;
mod changes;
#[path = "../support/cluster.rs"]
mod cluster;
mod due;
mod fixture;
mod objects;

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
                accounts_come_back_as_they_were_added,
                a_rotated_account_key_raises_the_epoch,
                an_account_in_use_stays,
                a_target_comes_back_as_it_was_added,
                a_taken_target_is_a_conflict,
                a_new_target_gets_what_stands,
                a_target_that_is_not_lifted_goes_at_once,
                a_target_leaves_once_its_bans_are_lifted,
                a_target_with_nothing_to_lift_goes_at_once,
                owners_of_a_name_are_all_apps_with_that_stream,
                an_owner_wants_what_its_stream_was_decided,
                a_save_that_comes_late_writes_nothing,
                acceptance_only_rises,
                objects_are_due_by_time_and_while_not_settled,
                looks_are_kept_and_come_back_when_due,
                looks_are_part_of_history,
                the_last_budget_counts,
                a_lone_server_works_on_every_account,
                many_objects_are_saved_and_read_at_once,
                pages_of_a_strict_account_miss_nothing,
                pages_of_a_name_only_account_miss_nothing,
                pages_miss_nothing_when_very_much_is_due,
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
