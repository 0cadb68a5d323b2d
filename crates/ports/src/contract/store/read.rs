//! Facts of what people, programs and checks read.

use std::{collections::BTreeSet, sync::Arc};

use inspay_ledger::{BookAccount, Entry, EntryKind, GENESIS_HASH, Posting, Side};
use inspay_primitives::{
    AccountId, Address, AssetId, ChainId, Credits, Direction, OrderTerms, Transfer, TransferId,
    TransferKey, U256,
};

use super::books::{now, paying, recorded};
use crate::{
    HistoryFilter, HistoryLine, Page, Store, TransferFilter, TransferTotals,
    contract::{
        samples::{
            CHAIN, Follower, account, applied, block, inspi, ordered, ordered_as, paid, seen_again,
            terms, treasury, usdt, withdrawn,
        },
        teller::{reverse, settle_alone, settle_for, write_fresh},
    },
};

/// Every page of a listing, one after the other, each within its limit.
async fn paged(store: &Arc<dyn Store>, filter: &TransferFilter, limit: u32) -> Vec<TransferId> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.transfers(filter.clone(), Page { after, limit }).await.expect("lists");
        assert!(page.len() <= usize::try_from(limit).expect("small"));
        assert!(page.is_sorted_by(|a, b| a.position > b.position), "newest first");
        let Some(last) = page.last() else { return found };
        after = Some(last.position);
        found.extend(page.iter().map(|view| view.id));
    }
}

/// Pages of transfers meet without gap and without double, newest recorded first, however filtered.
pub async fn transfers_are_paged_and_filtered(store: &Arc<dyn Store>) {
    let (order, other) = (ordered(store, 1).await, ordered(store, 2).await);
    let mut follower = Follower::new(store);
    let mut parts = Vec::new();
    for number in 1..=12u64 {
        let at = block("a", number);
        let part = paid(number, usdt(), U256::from(number), at, 0);
        follower.extend(vec![applied(at, vec![part])]).await;
        parts.push(part);
    }
    let twin = Transfer {
        key: TransferKey { ordinal: 1, ..parts[0].key },
        ..paid(1, usdt(), U256::from(99), block("a", 13), 4)
    };
    follower.extend(vec![applied(block("a", 13), vec![twin])]).await;
    parts.push(twin);
    let operations = parts
        .iter()
        .zip(0u32..)
        .filter_map(|(part, number)| match number % 4 {
            0 => Some(settle_for(part, 0, &order)),
            1 => Some(settle_for(part, 0, &other)),
            2 => Some(settle_alone(part, 0)),
            _ => None,
        })
        .collect();
    write_fresh(store, operations, now()).await;
    let newest_first = |wanted: &dyn Fn(usize) -> bool| -> Vec<TransferId> {
        let chosen = parts.iter().enumerate().rev().filter(|(number, _)| wanted(*number));
        chosen.map(|(_, part)| part.key.id()).collect()
    };
    let all = TransferFilter::default();
    let of_order = TransferFilter { order: Some(order.id), ..TransferFilter::default() };
    let of_account =
        TransferFilter { account: Some(other.account.clone()), ..TransferFilter::default() };
    let suspended = TransferFilter { suspense_only: true, ..TransferFilter::default() };
    let in_tx = TransferFilter { tx_hash: Some(twin.key.tx_hash), ..TransferFilter::default() };
    let paid_by = |chain_id, wallet| TransferFilter {
        payer: Some((chain_id, wallet)),
        ..TransferFilter::default()
    };
    let (by_payer, payer) = (paid_by(CHAIN, twin.counterparty), twin.counterparty);
    for limit in [1, 3, u32::MAX] {
        assert_eq!(paged(store, &all, limit).await, newest_first(&|_| true));
        assert_eq!(paged(store, &by_payer, limit).await, newest_first(&|_| true));
        assert_eq!(paged(store, &paid_by(ChainId(1), payer), limit).await, vec![]);
        assert_eq!(paged(store, &paid_by(CHAIN, twin.key.treasury), limit).await, vec![]);
        assert_eq!(paged(store, &of_order, limit).await, newest_first(&|at| at % 4 == 0));
        assert_eq!(paged(store, &of_account, limit).await, newest_first(&|at| at % 4 == 1));
        assert_eq!(paged(store, &suspended, limit).await, newest_first(&|at| at % 4 == 2));
        assert_eq!(paged(store, &in_tx, limit).await, newest_first(&|at| at == 0 || at == 12));
        let none = TransferFilter { suspense_only: true, ..of_order.clone() };
        assert_eq!(paged(store, &none, limit).await, vec![]);
        let in_suspense = TransferFilter { suspense_only: true, ..by_payer.clone() };
        assert_eq!(paged(store, &in_suspense, limit).await, newest_first(&|at| at % 4 == 2));
        let both = TransferFilter { tx_hash: Some(twin.key.tx_hash), ..of_order.clone() };
        assert_eq!(paged(store, &both, limit).await, newest_first(&|at| at == 0 || at == 12));
    }
    // What is taken back is attributed to nothing, and in no suspense.
    follower.swap(&[block("a", 13)], vec![applied(block("b", 13), vec![])]).await;
    write_fresh(store, vec![reverse(&twin, 0)], now()).await;
    let expected = newest_first(&|at| at % 4 == 0 && at != 12);
    assert_eq!(paged(store, &of_order, 2).await, expected);
    assert_eq!(paged(store, &all, 2).await.len(), 13);
}

/// Twelve part payments of two orders, settled in turn.
async fn settled_in_turn(store: &Arc<dyn Store>) -> (OrderTerms, OrderTerms, Vec<Transfer>) {
    let (first, second) = (ordered(store, 1).await, ordered(store, 2).await);
    let parts: Vec<Transfer> = (1..=12u32)
        .map(|number| paid(u64::from(number), usdt(), first.due_base_units, block("a", 1), number))
        .collect();
    recorded(store, &parts).await;
    for (part, number) in parts.iter().zip(0u32..) {
        let order = if number % 3 == 0 { &second } else { &first };
        write_fresh(store, vec![settle_for(part, 0, order)], now()).await;
    }
    (first, second, parts)
}

/// Events come in sequence after one that is known, of everybody or of one account.
pub async fn events_are_paged_in_sequence(store: &Arc<dyn Store>) {
    let (first, second, _) = settled_in_turn(store).await;
    let of = |account: Option<&AccountId>, seq: i64| match account {
        Some(account) if *account == second.account => seq % 3 == 1,
        Some(_) => seq % 3 != 1,
        None => true,
    };
    for account in [None, Some(&first.account), Some(&second.account)] {
        for limit in [1, 5, 100] {
            let mut found: Vec<i64> = Vec::new();
            loop {
                let after = found.last().copied().unwrap_or(0);
                let page = store.events(account, after, limit).await.expect("lists");
                assert!(page.len() <= usize::try_from(limit).expect("small"));
                if page.is_empty() {
                    break;
                }
                found.extend(page.iter().map(|event| event.seq));
            }
            let expected: Vec<i64> = (1..=12).filter(|seq| of(account, *seq)).collect();
            assert_eq!(found, expected);
        }
    }
    assert_eq!(store.events(None, 12, 10).await.expect("lists"), vec![]);
    assert_eq!(store.events(None, i64::MAX, 10).await.expect("lists"), vec![]);
    let nobody = account(99);
    assert_eq!(store.events(Some(&nobody), 0, 10).await.expect("lists"), vec![]);
}

/// Entries come in sequence with all their lines and lots, so that every hash can be recomputed.
pub async fn entries_can_be_recomputed_page_by_page(store: &Arc<dyn Store>) {
    let (_, _, parts) = settled_in_turn(store).await;
    for limit in [1, 5, 100] {
        let mut seq = 0;
        let mut previous = inspay_ledger::GENESIS_HASH;
        loop {
            let page = store.entries(seq, limit).await.expect("lists");
            assert!(page.len() <= usize::try_from(limit).expect("small"));
            if page.is_empty() {
                break;
            }
            for entry in page {
                assert_eq!((entry.seq, entry.previous_hash), (seq + 1, previous));
                assert_eq!(entry.compute_hash(), entry.hash);
                assert_eq!(entry.unbalanced_unit(), None);
                (seq, previous) = (entry.seq, entry.hash);
            }
        }
        assert_eq!(seq, i64::try_from(parts.len()).expect("small"));
        assert_eq!(store.journal_end().await.expect("tells"), (seq, previous));
    }
    assert_eq!(store.entries(i64::MAX, 10).await.expect("lists"), vec![]);
}

/// Takes the first of the parts back, so that the books have a debit of credits too.
async fn settled_and_taken_back(store: &Arc<dyn Store>, parts: &mut Vec<Transfer>) -> Vec<Entry> {
    let mut follower = Follower::new(store);
    follower.cursor = store.cursor(CHAIN).await.expect("reads");
    let gone = parts.remove(0);
    let moved = parts.iter().map(|part| seen_again(*part, block("b", 1), part.log_index));
    follower.swap(&[block("a", 1)], vec![applied(block("b", 1), moved.collect())]).await;
    write_fresh(store, vec![reverse(&gone, 0)], now()).await;
    let entries = store.entries(0, 100).await.expect("lists");
    assert_eq!(entries.last().map(|entry| entry.kind), Some(EntryKind::Reverse));
    entries
}

/// An account's history is its own lines, newest first, page by page.
pub async fn history_is_paged_newest_first(store: &Arc<dyn Store>) {
    let (first, second, mut parts) = settled_in_turn(store).await;
    let entries = settled_and_taken_back(store, &mut parts).await;
    let (of_second, of_first): (Vec<i64>, Vec<i64>) =
        (1..=13i64).rev().partition(|seq| seq % 3 == 1);
    for (order, expected) in [(&first, of_first), (&second, of_second)] {
        for limit in [1, 3, 100] {
            let mut found: Vec<HistoryLine> = Vec::new();
            loop {
                let after = found.last().map(|line| line.entry_seq);
                let page = store
                    .history(&order.account, HistoryFilter::default(), Page { after, limit })
                    .await;
                let page = page.expect("lists");
                assert!(page.len() <= usize::try_from(limit).expect("small"));
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            let seqs: Vec<i64> = found.iter().map(|line| line.entry_seq).collect();
            assert_eq!(seqs, expected);
            let lines: Vec<HistoryLine> =
                entries.iter().rev().filter_map(|entry| line(entry, &order.account)).collect();
            assert_eq!(found, lines);
        }
    }
}

/// What an entry says of an account.
fn line(entry: &Entry, account: &AccountId) -> Option<HistoryLine> {
    let mine = |posting: &&Posting| posting.account.owner() == Some(account);
    entry.postings.iter().find(mine)?;
    let added = |own: BookAccount, side: Side| {
        let lines = entry.postings.iter().filter(|posting| posting.account == own);
        let sum = lines.fold(0, |sum, posting| {
            let micros = i64::try_from(posting.quantity).expect("a number of credits");
            sum + if posting.side == side { micros } else { -micros }
        });
        Credits::from_micros(sum)
    };
    Some(HistoryLine {
        entry_seq: entry.seq,
        kind: entry.kind,
        event_at: entry.event_at,
        booked_at: entry.booked_at,
        left: added(BookAccount::Account(account.clone()), Side::Credit),
        held: added(BookAccount::Held(account.clone()), Side::Credit),
        owed: added(BookAccount::Owed(account.clone()), Side::Debit),
        order: entry.order,
        transfer: entry.transfer,
        facts: entry.facts.clone(),
    })
}

/// Lots with something left come soonest expiry first, also those that lapsed unbooked.
pub async fn lots_come_soonest_expiry_first(store: &Arc<dyn Store>) {
    let owner = account(1);
    let mut transfers = Vec::new();
    let mut operations = Vec::new();
    for (number, credits_valid_days) in [(1u64, 30), (2, 0), (3, 20), (4, u16::MAX)] {
        let order = OrderTerms { account: owner.clone(), credits_valid_days, ..terms(number) };
        let order = ordered_as(store, order).await;
        let payment = paying(&order, number, u32::try_from(number).expect("small"));
        transfers.push(payment);
        operations.push(settle_for(&payment, 0, &order));
    }
    recorded(store, &transfers).await;
    let written = write_fresh(store, operations, now()).await;
    let mut expected = written.rows.new_lots;
    expected.sort_by_key(|lot| (lot.expires_at, lot.id));
    let lots = store.lots(&owner).await.expect("lists");
    assert_eq!(lots, expected);
    let seqs: Vec<i64> = lots.iter().map(|lot| lot.id.entry_seq).collect();
    assert_eq!(seqs, [2, 3, 1, 4]);
    assert_eq!(store.lots(&account(2)).await.expect("lists"), vec![]);
}

/// Balances of accounts with credits are listed only when asked for.
pub async fn balances_come_with_accounts_or_without(store: &Arc<dyn Store>) {
    assert_eq!(store.balances(true).await.expect("lists"), vec![]);
    let (first, second, _) = settled_in_turn(store).await;
    let owners = |balances: Vec<crate::SystemBalance>| -> BTreeSet<AccountId> {
        balances.iter().filter_map(|balance| balance.account.owner().cloned()).collect()
    };
    let with = store.balances(true).await.expect("lists");
    let without = store.balances(false).await.expect("lists");
    assert_eq!(with.len(), without.len() + 2);
    assert_eq!(owners(without), BTreeSet::new());
    assert_eq!(owners(with), BTreeSet::from([first.account, second.account]));
}

/// Totals count the canonical transfers of one asset and treasury up to a block, settled or not.
pub async fn totals_count_what_is_canonical_up_to_a_block(store: &Arc<dyn Store>) {
    let next_treasury = Address::repeat_byte(0x78);
    let mut follower = Follower::new(store);
    let came = paid(1, usdt(), U256::from(100), block("a", 2), 0);
    let left = withdrawn(2, usdt(), U256::from(30), block("a", 3), 0);
    let other_asset = paid(3, inspi(), U256::from(1_000), block("a", 2), 1);
    let elsewhere =
        Transfer { key: TransferKey { treasury: next_treasury, ..came.key }, log_index: 2, ..came };
    let unsettled = paid(4, usdt(), U256::from(7), block("a", 4), 0);
    let unsettled_out = withdrawn(5, usdt(), U256::from(3), block("a", 4), 1);
    let gone = paid(6, usdt(), U256::from(10_000), block("a", 5), 0);
    follower
        .extend(vec![
            applied(block("a", 2), vec![came, other_asset, elsewhere]),
            applied(block("a", 3), vec![left]),
            applied(block("a", 4), vec![unsettled, unsettled_out]),
            applied(block("a", 5), vec![gone]),
        ])
        .await;
    write_fresh(store, vec![settle_alone(&came, 0), settle_alone(&left, 0)], now()).await;
    follower.swap(&[block("a", 5)], vec![applied(block("b", 5), vec![])]).await;
    let totals =
        async |up_to| store.transfer_totals(usdt(), treasury(), up_to).await.expect("adds up");
    assert_eq!(totals(1).await, TransferTotals::default());
    let at_two = TransferTotals { in_base_units: U256::from(100), count: 1, ..Default::default() };
    assert_eq!(totals(2).await, at_two);
    let at_three = TransferTotals { out_base_units: U256::from(30), count: 2, ..at_two };
    assert_eq!(totals(3).await, at_three);
    let at_end = TransferTotals {
        in_base_units: U256::from(107),
        out_base_units: U256::from(33),
        count: 4,
        unsettled_count: 2,
        unsettled_in_base_units: U256::from(7),
        unsettled_out_base_units: U256::from(3),
    };
    assert_eq!(totals(4).await, at_end);
    assert_eq!(totals(1_000_000).await, at_end);
    let unknown = AssetId { contract: Address::ZERO, ..usdt() };
    let none = store.transfer_totals(unknown, treasury(), 9).await.expect("adds up");
    assert_eq!(none, TransferTotals::default());
}

/// Sums are exact to the last base unit of 2^256 − 1, and an error past it.
pub async fn totals_are_exact_or_an_error(store: &Arc<dyn Store>) {
    let mut follower = Follower::new(store);
    let most = paid(1, usdt(), U256::MAX - U256::from(5), block("a", 1), 0);
    let rest = paid(2, usdt(), U256::from(5), block("a", 2), 0);
    let one_more = paid(3, usdt(), U256::from(1), block("a", 3), 0);
    let out = withdrawn(4, usdt(), U256::MAX, block("a", 3), 1);
    follower
        .extend(vec![
            applied(block("a", 1), vec![most]),
            applied(block("a", 2), vec![rest]),
            applied(block("a", 3), vec![one_more, out]),
        ])
        .await;
    let totals = store.transfer_totals(usdt(), treasury(), 2).await.expect("adds up");
    assert_eq!(totals.in_base_units, U256::MAX);
    assert_eq!(totals.unsettled_in_base_units, U256::MAX);
    let error = store.transfer_totals(usdt(), treasury(), 3).await.expect_err("past the end");
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(out.key.direction, Direction::Out);
}

/// A fresh store answers, knows its migrations, and breaks no law.
pub async fn a_fresh_store_answers_and_is_lawful(store: &Arc<dyn Store>) {
    store.ping().await.expect("answers");
    let (applied, known) = store.schema_versions().await.expect("tells");
    assert_eq!(applied, known);
    assert!(known > 0);
    assert_eq!(store.broken_laws().await.expect("checks"), vec![]);
    assert_eq!(store.entries(0, 10).await.expect("lists"), vec![]);
    assert_eq!(store.journal_end().await.expect("tells"), (0, GENESIS_HASH));
    assert_eq!(store.accounts(None, 10).await.expect("lists"), vec![]);
    assert_eq!(store.keys().await.expect("lists"), vec![]);
}
