//! Where a payment is, as one account may know it.

use inspay_ledger::SettlementKind;
use inspay_ports::TransferView;
use inspay_primitives::{B256, Credits, OrderId, TransferId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    AssetBody, Shown, TokenAmount,
    transfer::{WantedBody, confirmations},
};

/// Where a payment is, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentState {
    /// On the chain, waiting for its confirmations.
    Confirming,
    /// Its block left the chain: it may be mined again.
    OffChain,
    /// Credited to the account.
    Credited,
    /// Received, and not known whose it is.
    Unmatched,
    /// It pays for something else, or moves nothing.
    Elsewhere,
}

/// A transfer of the chain transaction, as one account may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FoundPayment)]
pub(crate) struct PaymentBody {
    /// Where it is.
    pub(crate) state: PaymentState,
    /// The same for people, with what it needs.
    pub(crate) needs: String,
    /// The transfer's id.
    #[schema(value_type = String)]
    transfer: TransferId,
    /// The chain transaction.
    tx_hash: String,
    /// The token.
    asset: AssetBody,
    /// How much.
    amount: TokenAmount,
    /// Counted from one in the head block.
    confirmations: u64,
    /// How many it waits for.
    confirmations_wanted: Option<WantedBody>,
    /// The order that it paid for.
    #[schema(value_type = Option<String>)]
    order: Option<OrderId>,
    /// Credits that it granted by itself.
    #[schema(value_type = Option<String>)]
    credits: Option<Credits>,
}

/// What is known of a chain transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PaymentsBody {
    /// The chain transaction.
    pub(crate) tx_hash: String,
    /// Whether any transfer to a treasury was seen in it.
    pub(crate) seen: bool,
    /// Its transfers to a treasury.
    pub(crate) items: Vec<PaymentBody>,
    /// What to do where nothing was seen.
    pub(crate) needs: Option<String>,
}

impl PaymentsBody {
    pub(crate) fn new(tx_hash: B256, items: Vec<PaymentBody>) -> Self {
        let needs = items.is_empty().then(|| {
            "No transfer to a treasury is known of it yet. If the wallet says that it is mined, it paid to another \
            address or in a token that is not for sale."
                .to_owned()
        });
        Self { tx_hash: tx_hash.to_string(), seen: !items.is_empty(), items, needs }
    }
}

/// A page of payments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PaymentsPage {
    /// Newest recorded first.
    pub(crate) items: Vec<PaymentBody>,
    /// The next page, if there is one.
    pub(crate) next: Option<String>,
}

impl PaymentBody {
    /// A transfer as the owner of `own` orders may know it: of others' it says nothing but that it is not theirs.
    pub(crate) fn new(view: &TransferView, own: Option<OrderId>, shown: Shown<'_>) -> Self {
        let (transfer, key) = (&view.transfer, &view.transfer.key);
        let listed = shown.sale.asset(key.asset());
        let depth = confirmations(transfer, view.canonical, shown.cursor);
        let wanted = listed.map(|listed| WantedBody::new(listed, transfer.base_units));
        let settlement = view.settlement.as_ref();
        let is_halted = shown.halts.iter().any(|halt| halt.asset == key.asset());
        let state = match settlement.map(|settled| settled.kind) {
            _ if !view.canonical => PaymentState::OffChain,
            None => PaymentState::Confirming,
            Some(SettlementKind::Suspense) => PaymentState::Unmatched,
            Some(SettlementKind::Order | SettlementKind::Late) if own.is_some() => {
                PaymentState::Credited
            }
            Some(
                SettlementKind::Order
                | SettlementKind::Late
                | SettlementKind::Withdrawal
                | SettlementKind::Ignored,
            ) => PaymentState::Elsewhere,
        };
        let needs = match state {
            PaymentState::Confirming if is_halted => {
                "Nothing of its asset is credited until what is recorded of it is what the chain says. It is not lost, \
                and nothing needs to be done."
                    .to_owned()
            }
            PaymentState::Confirming => match &wanted {
                Some(wanted) => format!(
                    "It has {depth} of {} confirmations; nothing needs to be done.{}",
                    wanted.count,
                    wanted.asked_of_endpoints(depth).unwrap_or_default()
                ),
                None => "Its asset is not for sale any more.".to_owned(),
            },
            PaymentState::OffChain => {
                "Its block left the chain; it counts when it is mined again.".to_owned()
            }
            PaymentState::Credited => "It is credited.".to_owned(),
            PaymentState::Unmatched => {
                "Prove the wallet that paid: it is credited to the account's open order then. Where the wallet is an \
                exchange's, claim the payment for its order, and a person looks at it."
                    .to_owned()
            }
            PaymentState::Elsewhere => "It pays for nothing of this account.".to_owned(),
        };
        Self {
            state,
            needs,
            transfer: view.id,
            tx_hash: key.tx_hash.to_string(),
            asset: listed.map_or_else(
                || AssetBody::new(key.asset(), None, None),
                |listed| AssetBody::from(&listed.asset),
            ),
            amount: TokenAmount::new(
                transfer.base_units,
                listed.map(|listed| listed.asset.decimals),
            ),
            confirmations: depth,
            confirmations_wanted: wanted,
            order: own,
            credits: own.and_then(|_| settlement.map(|settled| settled.credits)),
        }
    }
}
