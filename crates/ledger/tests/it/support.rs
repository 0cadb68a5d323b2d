//! Books in memory for one order of Alice's: due 9,000 of 10,000 base units, 100 credits, tolerance 10.

use std::fmt::Write as _;

use expect_test::Expect;
use inspay_ledger::{
    Act, Decision, Entry, Event, Evidence, IgnoreReason, LateTerms, LedgerState, Operation,
    Outcome, SettlementRules, TransferRecord, apply,
};
use inspay_primitives::{
    Address, AssetId, B256, BlockRef, ChainId, Credits, Direction, Order, OrderId, OrderProgress,
    OrderTerms, QuoteId, Reference, Timestamp, Transfer, TransferKey, U256,
};

pub(crate) fn asset() -> AssetId {
    AssetId { chain_id: ChainId(1), contract: Address::repeat_byte(1) }
}

pub(crate) fn order() -> Order {
    Order {
        terms: OrderTerms {
            id: "ord_00000000000000000000000000000001".parse::<OrderId>().expect("id"),
            account: "alice".parse().expect("account"),
            quote: "quo_00000000000000000000000000000001".parse::<QuoteId>().expect("id"),
            asset: asset(),
            decimals: 6,
            treasury: Address::repeat_byte(2),
            reference: Reference::from_bytes([7; 16]),
            due_base_units: U256::from(9_000),
            list_base_units: U256::from(10_000),
            tolerance_base_units: U256::from(10),
            credits: "100".parse().expect("credits"),
            price: "0.009".parse().expect("price"),
            rate: "1".parse().expect("rate"),
            exact_amount_lane: true,
            created_at: Timestamp::from_chain_seconds(10),
            deadline: Timestamp::from_chain_seconds(1_000),
            grace_seconds: 60,
            credits_valid_days: 30,
        },
        progress: OrderProgress::new(true),
    }
}

pub(crate) fn transfer(index: u8, base_units: U256, seconds: u64, fork: u8) -> Transfer {
    Transfer {
        key: TransferKey {
            chain_id: ChainId(1),
            tx_hash: B256::repeat_byte(index.wrapping_add(100)),
            token: Address::repeat_byte(1),
            treasury: Address::repeat_byte(2),
            direction: Direction::In,
            ordinal: 0,
        },
        counterparty: Address::repeat_byte(9),
        base_units,
        block: BlockRef {
            number: seconds,
            hash: B256::from(U256::from(seconds * 256 + u64::from(fork))),
            time: Timestamp::from_chain_seconds(seconds),
        },
        log_index: 0,
        reference: Some(None),
    }
}

pub(crate) struct Books {
    pub(crate) state: LedgerState,
    pub(crate) entries: Vec<Entry>,
    pub(crate) events: Vec<Event>,
    pub(crate) now: Timestamp,
    rules: SettlementRules,
}

impl Books {
    pub(crate) fn new(rules: SettlementRules) -> Self {
        let mut state = LedgerState::default();
        let order = order();
        state.orders.insert(order.terms.id, order);
        let now = Timestamp::from_chain_seconds(5_000);
        Self { state, entries: Vec::new(), events: Vec::new(), now, rules }
    }

    pub(crate) fn order(&self) -> &Order {
        &self.state.orders[&order().terms.id]
    }

    pub(crate) fn balance(&self) -> Credits {
        self.state.credits_of(&order().terms.account)
    }

    pub(crate) fn receive(&mut self, index: u8, base_units: u64, seconds: u64) {
        self.receive_units(index, U256::from(base_units), seconds);
    }

    pub(crate) fn receive_units(&mut self, index: u8, base_units: U256, seconds: u64) {
        let transfer = transfer(index, base_units, seconds, 1);
        let record = self.state.transfers.entry(transfer.key.id()).or_insert(TransferRecord {
            transfer,
            canonical: true,
            generation: 0,
            settlement: None,
        });
        record.transfer = transfer;
        record.canonical = true;
    }

    fn record(&self, index: u8) -> &TransferRecord {
        &self.state.transfers[&transfer(index, U256::ZERO, 0, 0).key.id()]
    }

    pub(crate) fn orphan(&mut self, index: u8) {
        let id = transfer(index, U256::ZERO, 0, 0).key.id();
        self.state.transfers.get_mut(&id).expect("recorded").canonical = false;
    }

    pub(crate) fn apply(&mut self, operations: &[Operation]) -> Vec<Outcome> {
        let (outcomes, rows) = apply(&mut self.state, operations, &self.rules, self.now);
        for entry in &rows.entries {
            assert_eq!(entry.unbalanced_unit(), None, "{entry:?}");
            assert_eq!(entry.compute_hash(), entry.hash);
        }
        assert!(!outcomes.contains(&Outcome::Refused(inspay_ledger::Refusal::Unbalanced)));
        self.entries.extend(rows.entries);
        self.events.extend(rows.events);
        outcomes
    }

    fn one(&mut self, act: Act) -> Outcome {
        self.apply(&[Operation::from(act)]).remove(0)
    }

    pub(crate) fn decide(&mut self, index: u8, generation: u32, decision: Decision) -> Outcome {
        let transfer = self.record(index).transfer.key.id();
        self.one(Act::Settle {
            transfer,
            generation,
            judged_in: None,
            reference: None,
            decision,
            value: None,
        })
    }

    pub(crate) fn settle_by(&mut self, index: u8, evidence: Evidence) -> Outcome {
        let generation = self.record(index).generation;
        let order = order().terms.id;
        self.decide(index, generation, Decision::Attribute { order, evidence, late: None })
    }

    pub(crate) fn settle(&mut self, index: u8) -> Outcome {
        self.settle_by(index, Evidence::Reference)
    }

    pub(crate) fn settle_at(&mut self, index: u8, generation: u32) -> Outcome {
        let order = order().terms.id;
        let decision = Decision::Attribute { order, evidence: Evidence::Reference, late: None };
        self.decide(index, generation, decision)
    }

    pub(crate) fn settle_late(&mut self, index: u8, credits: &str) -> Outcome {
        let late = LateTerms {
            rate: "1".parse().expect("rate"),
            credits: credits.parse().expect("credits"),
        };
        let order = order().terms.id;
        let generation = self.record(index).generation;
        let decision =
            Decision::Attribute { order, evidence: Evidence::Reference, late: Some(late) };
        self.decide(index, generation, decision)
    }

    pub(crate) fn ignore(&mut self, index: u8) -> Outcome {
        let generation = self.record(index).generation;
        self.decide(index, generation, Decision::Ignore(IgnoreReason::ZeroValue))
    }

    pub(crate) fn reverse(&mut self, index: u8) -> Outcome {
        let generation = self.record(index).generation;
        self.reverse_at(index, generation)
    }

    pub(crate) fn reverse_at(&mut self, index: u8, generation: u32) -> Outcome {
        let transfer = self.record(index).transfer.key.id();
        self.one(Act::Reverse { transfer, generation })
    }

    pub(crate) fn close_in(&mut self, chain_seconds: u64, judged_in: Option<i64>) -> Outcome {
        let chain_time = Timestamp::from_chain_seconds(chain_seconds);
        self.one(Act::CloseOrder { order: order().terms.id, chain_time, judged_in })
    }

    pub(crate) fn close(&mut self, chain_seconds: u64) -> Outcome {
        self.close_in(chain_seconds, None)
    }

    /// Lets the nth lot lapse and books it.
    pub(crate) fn lapse(&mut self, nth: usize) -> Outcome {
        let lot = self.state.lots.values().nth(nth).expect("lot").clone();
        self.now = lot.expires_at;
        self.one(Act::ExpireLot { lot: lot.id })
    }

    pub(crate) fn check(&self, expected: &Expect) {
        let mut text = String::new();
        for entry in &self.entries {
            writeln!(text, "{} {}", entry.seq, entry.kind.as_str()).expect("writes");
            for posting in &entry.postings {
                let unit = if posting.unit.to_string() == "credits" { "credits" } else { "token" };
                let account = posting.account.to_string();
                writeln!(
                    text,
                    "  {:6} {account:22} {} {unit}",
                    posting.side.as_str(),
                    posting.quantity
                )
                .expect("writes");
            }
        }
        let progress = self.order().progress;
        writeln!(
            text,
            "order {} received {} credited {}",
            progress.state.as_str(),
            progress.received_base_units,
            progress.credited
        )
        .expect("writes");
        let lots: Vec<String> =
            self.state.lots.values().map(|lot| lot.parts.left.to_string()).collect();
        writeln!(text, "{}", format!("lots {}", lots.join(" ")).trim_end()).expect("writes");
        let events: Vec<&str> = self.events.iter().map(|event| event.kind.as_str()).collect();
        writeln!(text, "{}", format!("events {}", events.join(" ")).trim_end()).expect("writes");
        expected.assert_eq(&text);
    }
}
