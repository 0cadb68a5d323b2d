//! The list of facts, and the macro that makes a test of each.

/// Makes a test of every fact of the store port.
///
/// Takes a function (or closure without captures) that opens a fresh, empty, migrated store:
/// `async fn open() -> (Arc<dyn Store>, Guard)`. The guard is whatever must outlive the store, such as a
/// temporary directory or the handle of a database that is dropped with it. After each fact every law is
/// checked, but for the facts that break laws on purpose. The caller needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store_contract! { @facts $open;
            follow {
                a_chain_that_was_never_followed_has_no_cursor
                the_cursor_comes_back_as_it_was_written
                a_cursor_that_moved_refuses_the_commit_whole
                of_many_followers_on_one_revision_one_commits
                a_block_that_is_read_again_replaces_what_was_recorded_of_it
                going_back_takes_what_lay_above_off_the_chain
                going_back_below_the_window_begins_a_new_one
                blocks_and_their_transfers_are_recorded_together
                the_window_is_oldest_first_and_starts_where_it_is_told
                a_second_canonical_block_at_one_height_is_refused
                canonical_hashes_come_in_the_order_asked
                an_orphaned_block_takes_its_transfers_off_the_chain
                blocks_may_leave_before_others_come
                a_branch_that_comes_back_is_flipped_not_doubled
                a_transfer_mined_again_is_the_same_transfer
                what_was_learned_of_calldata_is_kept
                one_log_between_two_treasuries_is_two_transfers
                chains_do_not_touch_each_other
                a_range_is_recorded_in_one_commit
                a_range_does_not_double_what_is_recorded
                what_stands_elsewhere_is_moved
                a_commit_that_contradicts_itself_is_refused
                after_a_range_the_window_is_its_tip_alone
                every_uint256_is_kept_exactly
            }
            sale {
                a_quote_comes_back_as_it_was_kept
                an_order_comes_back_as_it_was_made
                a_quote_is_accepted_once
                a_held_amount_is_taken
                the_same_request_gives_the_same_order
                orders_are_paged_newest_first
                a_new_account_appears_with_its_first_order
                rates_are_the_newest_at_or_before_a_time
                a_sample_is_kept_as_it_was_first_told
                keys_are_found_by_hash_and_listed_by_age
                a_label_and_a_hash_belong_to_one_key
                a_revoked_key_stays_revoked
                a_claim_runs_until_it_is_answered
                another_request_under_a_claimed_key_is_told_apart
                a_stale_claim_is_taken_over_by_the_same_request
                an_abandoned_claim_is_fresh_again
                texts_are_kept_byte_for_byte
            }
            books {
                a_batch_is_written_whole
                an_empty_batch_writes_nothing
                a_decision_sees_what_its_operations_touch
                the_same_operation_again_finds_its_outcome
                a_refused_operation_stops_none_of_its_batch
                every_kind_of_settlement_reads_back
                an_order_that_ended_short_is_closed
                what_left_the_chain_is_taken_back_and_settled_again
                what_a_batch_learned_of_calldata_is_kept
                balances_hold_every_uint256
                a_batch_does_not_move_a_slot
                operation_keys_and_names_differ_by_any_byte
            }
            spending {
                a_life_of_spending_reads_as_in_the_fake
                another_life_of_spending_reads_as_in_the_fake
                a_decision_sees_what_spending_touches
                a_hold_that_ran_out_is_found_unswept
                a_refusal_is_given_again
                a_limit_begins_with_what_was_spent_before
            }
            remembered {
                what_was_asked_before_is_told_again
                holds_run_out_between_batches
                what_comes_between_spends_holds
                a_day_ends_between_batches
            }
            batches {
                rows_that_break_a_constraint_leave_nothing
                writers_at_once_lose_nothing
                the_same_operation_at_once_is_done_once
                the_follower_and_the_books_do_not_overtake_each_other
                a_batch_of_thousands_is_one_commit
            }
            work {
                transfers_to_settle_come_oldest_first
                what_left_or_changed_is_to_be_taken_back
                the_oldest_work_is_to_settle_or_to_take_back
                orders_are_found_by_reference_and_by_held_amount
                a_freed_amount_belongs_to_nobody
                a_paid_slot_is_freed_when_its_payments_are_final
                an_unpaid_slot_is_freed_after_its_quarantine
                unpaid_orders_count_until_they_keep_nothing
                orders_are_known_from_their_making_on
                orders_are_closed_after_their_last_moment
                no_order_is_closed_by_what_no_longer_holds
                lots_lapse_soonest_first
            }
            read {
                transfers_are_paged_and_filtered
                events_are_paged_in_sequence
                entries_can_be_recomputed_page_by_page
                history_is_paged_newest_first
                lots_come_soonest_expiry_first
                balances_come_with_accounts_or_without
                totals_count_what_is_canonical_up_to_a_block
                totals_are_exact_or_an_error
                a_fresh_store_answers_and_is_lawful
            }
            races {
                of_many_orders_for_one_amount_one_is_made
                of_many_same_requests_one_order_is_made
                of_many_claims_one_is_fresh
                of_many_first_orders_the_account_appears_once
                samples_told_at_once_are_kept_once
                settling_freeing_and_reserving_do_not_disturb_each_other
            }
            leases {
                a_chain_without_a_lease_is_followed_without_one
                a_lease_has_one_holder_and_a_growing_number
                of_many_claims_of_a_lease_one_is_taken
                a_lease_that_ran_out_is_not_renewed
                a_commit_under_an_older_number_changes_nothing
                a_batch_is_written_only_under_a_checked_holding
                one_broken_fence_refuses_its_batch
                taking_over_waits_for_what_is_under_way
            }
            cases {
                a_case_is_opened_and_resolved_once
                of_one_subject_one_case_is_open
                of_many_openings_one_case_is_made
                cases_are_paged_newest_first
            }
            subscriptions {
                a_subscription_is_kept_as_it_was_opened
                a_subscription_ends_once
                a_renewal_is_noted_once
                of_many_subscriptions_to_a_plan_one_is_opened
            }
            wallets {
                a_challenge_is_used_once
                of_many_uses_of_a_challenge_one_counts
                a_wallet_belongs_to_one_account
                of_many_accounts_one_gets_the_wallet
                a_wallet_that_was_let_go_of_is_free
                orders_are_found_by_who_paid
                orders_are_found_by_what_was_claimed
                what_was_not_attributed_is_judged_again
                a_proven_wallets_free_plan_is_due_until_it_is_noted
            }
            halts {
                a_halt_is_kept_by_asset_and_treasury
                what_is_of_a_halted_asset_waits
                nothing_of_a_halted_asset_is_posted
                halts_are_fenced_with_their_cases
                a_halt_waits_for_what_is_under_way
            }
            history {
                a_history_reads_as_in_the_fake
                another_history_reads_as_in_the_fake
            }
        }
        $crate::store_contract! { @unlawful $open;
            laws {
                an_unbalanced_entry_is_caught
                a_broken_chain_of_entries_is_caught
                a_gap_between_entries_is_caught
                a_gap_between_events_is_caught
                a_head_that_is_not_the_end_is_caught
                a_balance_that_is_not_its_postings_is_caught
                a_posting_without_a_balance_is_caught
                a_mark_without_a_settlement_is_caught
                a_settlement_without_a_mark_is_caught
                a_mark_in_another_block_is_caught
                an_order_that_received_something_else_is_caught
                a_settlement_that_is_not_booked_is_caught
                a_grant_without_a_lot_is_caught
                an_entry_without_its_operation_is_caught
            }
        }
    };
    (@facts $open:expr; $($group:ident { $($fact:ident)* })*) => {
        $(
            mod $group {
                #[allow(unused_imports, reason = "the opening expression may be a path of its own")]
                use super::*;

                $(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $fact() {
                        let (store, guard) = ($open)().await;
                        let store: ::std::sync::Arc<dyn $crate::Store> = store;
                        $crate::contract::store::$group::$fact(&store).await;
                        $crate::contract::store::assert_lawful(&store).await;
                        drop(store);
                        drop(guard);
                    }
                )*
            }
        )*
    };
    (@unlawful $open:expr; $($group:ident { $($fact:ident)* })*) => {
        $(
            mod $group {
                #[allow(unused_imports, reason = "the opening expression may be a path of its own")]
                use super::*;

                $(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $fact() {
                        let (store, guard) = ($open)().await;
                        let store: ::std::sync::Arc<dyn $crate::Store> = store;
                        $crate::contract::store::$group::$fact(&store).await;
                        drop(store);
                        drop(guard);
                    }
                )*
            }
        )*
    };
}
