//! Transfers with what became of them, and why.

use inspay_ledger::{
    Evidence, IgnoreReason, Settlement, SettlementKind, SuspenseReason, TransferRecord,
};
use inspay_ports::{AssetHalt, CursorRecord, TransferView};
use inspay_primitives::{
    ConfirmationRule, Credits, Direction, OrderId, Timestamp, Transfer, TransferId, U256, Usd,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AssetBody, TokenAmount, token::show_address};
use crate::state::{SaleAsset, SaleSettings};

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransferState {
    /// On the chain, waiting for its confirmations.
    Pending,
    /// Its block left the chain; nothing of it is in the books.
    Orphaned,
    /// Its block left the chain after it was settled; its entries are about to be taken back.
    Reversing,
    /// It paid for an order.
    Attributed,
    /// It belongs to nothing yet.
    Suspended,
    /// It left the treasury.
    Withdrawn,
    /// It moves nothing.
    Ignored,
}

/// One ERC-20 transfer in or out of the treasury.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Transfer)]
pub(crate) struct TransferBody {
    /// Identity; neither a reorg nor a new listing changes it.
    #[schema(value_type = String, example = "trf_010101010101010101010101010101019bc865ad1b59cfd01ab9afd15e90668a")]
    id: TransferId,
    /// What became of it.
    state: TransferState,
    /// `in` or `out` of the treasury.
    #[schema(example = "in")]
    direction: &'static str,
    /// The token.
    asset: AssetBody,
    /// What moved, as the token's log says it arrived.
    amount: TokenAmount,
    /// Who sent it in, or who received it.
    counterparty: String,
    /// The treasury.
    treasury: String,
    /// The chain transaction that emitted the log.
    tx_hash: String,
    /// The block that holds it. A reorg may change it.
    block: BlockBody,
    /// Counted from one in the head block; zero while its block is not on the chain.
    #[schema(example = 3)]
    confirmations: u64,
    /// How many it waits for, and for what else.
    confirmations_wanted: Option<WantedBody>,
    /// The order that it pays for, or looks like it pays for while it is pending.
    #[schema(value_type = Option<String>, example = "ord_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    order: Option<OrderId>,
    /// Credits that it granted by itself; zero for a part payment.
    #[schema(value_type = Option<String>, example = "1000.000000")]
    credits: Option<Credits>,
    /// What it was worth in dollars when it was received.
    #[schema(value_type = Option<String>, example = "9.989731")]
    value_usd: Option<Usd>,
    /// The journal entry that it posted.
    entry: Option<i64>,
    /// When it was booked.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
    /// How often it was taken back after a reorg.
    reversals: u32,
    /// The decision with its facts.
    why: WhyBody,
}

/// The block of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Block)]
pub(crate) struct BlockBody {
    /// Height.
    #[schema(example = 21_000_000)]
    number: u64,
    /// Hash of the header.
    hash: String,
    /// Chain time.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Index of the log in it.
    log_index: u32,
    /// Whether it is on the chain now.
    canonical: bool,
}

/// What a transfer of that size waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConfirmationsWanted)]
pub(crate) struct WantedBody {
    /// Confirmations of our own.
    #[schema(example = 12)]
    pub(crate) count: u32,
    /// `depth`: the count alone; `safe` or `finalized`: that tag of the chain has reached it too.
    #[schema(example = "depth")]
    pub(crate) rule: &'static str,
    /// So many endpoints must have it in the same canonical block; one that reads the chain is enough for most.
    #[schema(example = 1)]
    pub(crate) endpoints: u32,
}

/// Why a transfer is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Why)]
pub(crate) struct WhyBody {
    /// One sentence for people.
    explanation: String,
    /// What ties it to its order: `reference`, `exact_amount`, `proven_payer` or `claim`.
    evidence: Option<&'static str>,
    /// Why it lies in suspense, is ignored, or waits although it is deep enough (`asset_halted`,
    /// `endpoints_must_agree`), as a stable name.
    reason: Option<&'static str>,
    /// The reference behind its calldata, if it was read and there was one.
    reference: Option<String>,
    /// Orders that it might belong to, best first.
    #[schema(value_type = Vec<String>)]
    candidates: Vec<OrderId>,
    /// Whether it came after the deadline and its grace and was priced anew.
    late: bool,
}

/// A page of transfers, newest recorded first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TransfersPage {
    /// The transfers.
    pub(crate) items: Vec<TransferBody>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

/// What a transfer is shown against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) sale: &'a SaleSettings,
    pub(crate) cursor: Option<&'a CursorRecord>,
    /// The assets of its chain of which nothing is credited.
    pub(crate) halts: &'a [AssetHalt],
}

impl WantedBody {
    /// What a transfer of that size must wait for in that asset.
    pub(crate) fn new(listed: &SaleAsset, base_units: U256) -> Self {
        let rule = listed.confirmation.rule_for(base_units);
        let name = match rule {
            ConfirmationRule::Depth(_) => "depth",
            ConfirmationRule::Safe(_) => "safe",
            ConfirmationRule::Finalized(_) => "finalized",
        };
        let agreement = listed.agreement.filter(|needed| base_units > needed.above_base_units);
        let endpoints = agreement.map_or(1, |needed| needed.endpoints_min.max(1));
        Self { count: rule.depth(), rule: name, endpoints }
    }

    /// What its endpoints must still say, once it is deep enough.
    pub(crate) fn asked_of_endpoints(&self, confirmations: u64) -> Option<String> {
        (self.endpoints > 1 && confirmations >= u64::from(self.count)).then(|| {
            format!(" It is large: {} endpoints must have it in the same block.", self.endpoints)
        })
    }
}

/// Counted from one; zero above the head or off the chain.
pub(crate) fn confirmations(
    transfer: &Transfer,
    canonical: bool,
    cursor: Option<&CursorRecord>,
) -> u64 {
    cursor
        .filter(|_| canonical)
        .and_then(|cursor| cursor.tip.number.checked_sub(transfer.block.number))
        .map_or(0, |above| above.saturating_add(1))
}

/// The facts of one transfer, as both kinds of rows have them.
struct Row<'a> {
    id: TransferId,
    transfer: &'a Transfer,
    canonical: bool,
    generation: u32,
    settlement: Option<&'a Settlement>,
    /// Order and evidence that a waiting transfer looks like.
    likely: Option<(OrderId, Evidence)>,
}

impl TransferBody {
    /// A transfer as it was read for people.
    pub(crate) fn from_view(view: &TransferView, shown: Shown<'_>) -> Self {
        Self::new(
            &Row {
                id: view.id,
                transfer: &view.transfer,
                canonical: view.canonical,
                generation: view.generation,
                settlement: view.settlement.as_ref(),
                likely: None,
            },
            shown,
        )
    }

    /// A waiting transfer that looks like a payment for `order`.
    pub(crate) fn waiting(
        record: &TransferRecord,
        order: OrderId,
        evidence: Evidence,
        shown: Shown<'_>,
    ) -> Self {
        Self::new(
            &Row {
                id: record.transfer.key.id(),
                transfer: &record.transfer,
                canonical: record.canonical,
                generation: record.generation,
                settlement: record.settlement.as_ref(),
                likely: Some((order, evidence)),
            },
            shown,
        )
    }

    fn new(row: &Row<'_>, shown: Shown<'_>) -> Self {
        let (transfer, key) = (row.transfer, &row.transfer.key);
        let listed = shown.sale.asset(key.asset());
        let wanted = listed
            .filter(|_| key.direction == Direction::In)
            .map(|listed| WantedBody::new(listed, transfer.base_units));
        let confirmations = confirmations(transfer, row.canonical, shown.cursor);
        let settlement = row.settlement;
        let order = settlement.map_or(row.likely.map(|(order, _)| order), |settled| settled.order);
        Self {
            id: row.id,
            state: state(row),
            direction: key.direction.as_str(),
            asset: listed_asset(key.asset(), listed),
            amount: TokenAmount::new(
                transfer.base_units,
                listed.map(|listed| listed.asset.decimals),
            ),
            counterparty: show_address(transfer.counterparty),
            treasury: show_address(key.treasury),
            tx_hash: key.tx_hash.to_string(),
            block: BlockBody {
                number: transfer.block.number,
                hash: transfer.block.hash.to_string(),
                time: transfer.block.time,
                log_index: transfer.log_index,
                canonical: row.canonical,
            },
            confirmations,
            why: why(row, confirmations, wanted.as_ref(), shown.halts),
            confirmations_wanted: wanted,
            order,
            credits: settlement.map(|settled| settled.credits),
            value_usd: settlement.and_then(|settled| settled.value),
            entry: settlement.and_then(|settled| settled.entry_seq),
            settled_at: settlement.map(|settled| settled.settled_at),
            reversals: row.generation,
        }
    }

    /// Identity.
    pub(crate) const fn id(&self) -> TransferId {
        self.id
    }

    /// How deep it lies.
    pub(crate) const fn confirmations(&self) -> u64 {
        self.confirmations
    }
}

/// What is said of a transfer whose asset is halted.
const HALTED_SENTENCE: &str =
    " Nothing of its asset is credited until what is recorded of it is what the chain says.";

fn listed_asset(id: inspay_primitives::AssetId, listed: Option<&SaleAsset>) -> AssetBody {
    listed.map_or_else(|| AssetBody::new(id, None, None), |listed| AssetBody::from(&listed.asset))
}

fn state(row: &Row<'_>) -> TransferState {
    let Some(settled) = row.settlement else {
        return if row.canonical { TransferState::Pending } else { TransferState::Orphaned };
    };
    if !row.canonical || settled.base_units != row.transfer.base_units {
        return TransferState::Reversing;
    }
    match settled.kind {
        SettlementKind::Order | SettlementKind::Late => TransferState::Attributed,
        SettlementKind::Suspense => TransferState::Suspended,
        SettlementKind::Withdrawal => TransferState::Withdrawn,
        SettlementKind::Ignored => TransferState::Ignored,
    }
}

/// Whether it waits for its asset, whatever its confirmations.
fn is_halted(row: &Row<'_>, halts: &[AssetHalt]) -> bool {
    let asset = row.transfer.key.asset();
    row.settlement.is_none() && row.canonical && halts.iter().any(|halt| halt.asset == asset)
}

fn why(
    row: &Row<'_>,
    confirmations: u64,
    wanted: Option<&WantedBody>,
    halts: &[AssetHalt],
) -> WhyBody {
    let is_halted = is_halted(row, halts);
    let settled = row.settlement;
    let evidence =
        settled.map_or(row.likely.map(|(_, evidence)| evidence), |settled| settled.evidence);
    let reason = settled.and_then(|settled| {
        (settled.suspense.map(SuspenseReason::as_str))
            .or_else(|| settled.ignored.map(IgnoreReason::as_str))
    });
    let is_pending = state(row) == TransferState::Pending;
    let asked = wanted.filter(|_| is_pending).and_then(|it| it.asked_of_endpoints(confirmations));
    let reason = reason
        .or(is_halted.then_some("asset_halted"))
        .or(asked.is_some().then_some("endpoints_must_agree"));
    let mut explanation = explanation(row, evidence, confirmations, wanted);
    if is_halted {
        explanation.push_str(HALTED_SENTENCE);
    }
    explanation.extend(asked);
    WhyBody {
        explanation,
        evidence: evidence.map(Evidence::as_str),
        reason,
        reference: row.transfer.reference.flatten().map(|reference| reference.to_string()),
        candidates: settled.map(|settled| settled.candidates.clone()).unwrap_or_default(),
        late: settled.is_some_and(|settled| settled.kind == SettlementKind::Late),
    }
}

fn explanation(
    row: &Row<'_>,
    evidence: Option<Evidence>,
    confirmations: u64,
    wanted: Option<&WantedBody>,
) -> String {
    match state(row) {
        TransferState::Pending => pending_sentence(evidence, confirmations, wanted),
        TransferState::Orphaned => {
            "Its block left the chain. If it is mined again, it counts again.".to_owned()
        }
        TransferState::Reversing => {
            "It is no longer on the chain as it was settled; its entries are being taken back."
                .to_owned()
        }
        TransferState::Attributed
        | TransferState::Suspended
        | TransferState::Withdrawn
        | TransferState::Ignored => row.settlement.map(settled_sentence).unwrap_or_default(),
    }
}

fn pending_sentence(
    evidence: Option<Evidence>,
    confirmations: u64,
    wanted: Option<&WantedBody>,
) -> String {
    let waits = match wanted {
        Some(WantedBody { count, rule: "depth", .. }) => {
            format!("It has {confirmations} of {count} confirmations.")
        }
        Some(WantedBody { count, rule, .. }) => format!(
            "It has {confirmations} of {count} confirmations, and waits for the chain's {rule} block."
        ),
        None => format!("It has {confirmations} confirmations."),
    };
    match evidence.map(evidence_sentence) {
        Some(evidence) => format!("{evidence} {waits}"),
        None => waits,
    }
}

const fn evidence_sentence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Reference => "It carries the order's reference behind its calldata.",
        Evidence::ExactAmount => "Its amount is reserved for this order alone.",
        Evidence::ProvenPayer => "It came from a wallet that the order's account has proven.",
        Evidence::Claim => "The order's account claims it, and has proven the wallet that paid.",
    }
}

fn settled_sentence(settled: &Settlement) -> String {
    let evidence = settled.evidence.map(evidence_sentence).unwrap_or_default();
    match settled.kind {
        SettlementKind::Order => format!("{evidence} It came in time."),
        SettlementKind::Late => format!(
            "{evidence} It came after the deadline and was credited at the rate of its block time."
        ),
        SettlementKind::Suspense => {
            settled.suspense.map(suspense_sentence).unwrap_or_default().to_owned()
        }
        SettlementKind::Withdrawal => "It left the treasury.".to_owned(),
        SettlementKind::Ignored => {
            settled.ignored.map(ignore_sentence).unwrap_or_default().to_owned()
        }
    }
}

const fn suspense_sentence(reason: SuspenseReason) -> &'static str {
    match reason {
        SuspenseReason::NoEvidence => {
            "No order has its reference, and no order reserves its amount."
        }
        SuspenseReason::WrongAsset => {
            "It names an order that is payable in another asset or to another treasury."
        }
        SuspenseReason::OrderAlreadyPaid => "It has the amount of an order that is already paid.",
        SuspenseReason::Late => "It came after the deadline, and late payments are held.",
        SuspenseReason::NoRateAtBlockTime => {
            "It came after the deadline, and no rate of its block time is known."
        }
        SuspenseReason::TooManyCredits => "It would grant more credits than can be held.",
    }
}

const fn ignore_sentence(reason: IgnoreReason) -> &'static str {
    match reason {
        IgnoreReason::ZeroValue => "It moves nothing: its log says zero.",
        IgnoreReason::SelfTransfer => "It goes from the treasury to itself.",
    }
}
