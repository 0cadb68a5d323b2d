//! Orders: the request, the summary of lists, and the whole with everything a wallet needs.

use inspay_primitives::{
    AccountId, Credits, Order, OrderId, OrderState, QuoteId, Rate, Timestamp, U256, Usd,
};
use inspay_quoting::PricedOffer;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

use super::{
    AssetBody, LineBody, TokenAmount, TransferBody, token::show_address, transfer::WantedBody,
};
use crate::{
    payment::{payment_link, transfer_calldata},
    state::SaleSettings,
};

/// Accepts a quote in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderRequest {
    /// The quote.
    #[schema(example = "quo_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    pub(crate) quote: String,
    /// What it will be paid in: a symbol, or a CAIP-19 id where several assets share the symbol.
    #[schema(example = "USDT")]
    pub(crate) asset: String,
    /// Who gets the credits: a name that the application chooses. It is made if need be.
    #[schema(example = "alice")]
    pub(crate) account: String,
}

/// An order in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OrderSummary {
    /// Identity.
    #[schema(value_type = String, example = "ord_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    id: OrderId,
    /// Who gets the credits.
    #[schema(value_type = String, example = "alice")]
    account: AccountId,
    /// The quote that it accepts.
    #[schema(value_type = String, example = "quo_01932b5fe7a87c5f9d3b0a1c2d3e4f50")]
    quote: QuoteId,
    /// Where it stands.
    #[schema(schema_with = state_schema)]
    state: OrderState,
    /// What it is paid in.
    asset: AssetBody,
    /// What is owed in all.
    due: TokenAmount,
    /// What was settled in time so far.
    received: TokenAmount,
    /// What is still to be paid.
    remaining: TokenAmount,
    /// What the due amount buys.
    #[schema(value_type = String, example = "1000.000000")]
    credits: Credits,
    /// What was granted so far.
    #[schema(value_type = String, example = "0.000000")]
    credited: Credits,
    /// The price in dollars.
    #[schema(value_type = String, example = "7.992000")]
    price_usd: Usd,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last chain time that is in time.
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
    /// Seconds after the deadline that still count as in time.
    #[schema(example = 600)]
    grace_seconds: u32,
    /// Whether no more payment in time can come.
    closed: bool,
}

/// A page of orders, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OrdersPage {
    /// The orders.
    pub(crate) items: Vec<OrderSummary>,
    /// Send it as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
}

/// An order with everything that a wallet needs to pay it, and everything that has happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    /// The order in short.
    #[serde(flatten)]
    summary: OrderSummary,
    /// Whether nothing more is expected to change: it is paid, or its time has passed.
    #[serde(rename = "final")]
    is_final: bool,
    /// The chain to be on.
    #[schema(example = 1)]
    chain_id: u64,
    /// The token to send.
    #[schema(example = "0xdAC17F958D2ee523a2206206994597C13D831ec7")]
    token: String,
    /// Where to send it.
    #[schema(example = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    treasury: String,
    /// The 16 bytes that name this order behind the calldata.
    #[schema(example = "0x00112233445566778899aabbccddeeff")]
    reference: String,
    /// How to pay what remains; absent once nothing more is asked for.
    payment: Option<PaymentBody>,
    /// Whether the due amount is reserved for this order alone, so that a plain transfer of exactly
    /// that amount finds it, also from an exchange. If not, only the calldata names the order.
    exact_amount_lane: bool,
    /// The same for people.
    exact_amount_note: &'static str,
    /// Confirmations wanted and so far.
    confirmations: ConfirmationsBody,
    /// Lines of the price; they add up to `price_usd` exactly.
    lines: Vec<LineBody>,
    /// From the price to what is owed.
    sum: SumBody,
    /// Payments seen and settled, in the order in which they were seen.
    transfers: Vec<TransferBody>,
}

/// The very transfer that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentBody {
    /// How much: the due amount, or what is left of it.
    amount: TokenAmount,
    /// `transfer(treasury, amount)` with the reference behind it.
    #[schema(example = "0xa9059cbb…")]
    calldata: String,
    /// The call as a wallet takes it (`eth_sendTransaction`, `wallet_sendCalls`).
    wallet_call: WalletCall,
    /// The same as an ERC-681 link, without the reference.
    #[schema(
        example = "ethereum:0xdAC17F958D2ee523a2206206994597C13D831ec7@1/transfer?address=0x70997970C51812dc3A010C7d01b50e0d17dc79C8&uint256=9989731"
    )]
    erc681: String,
}

/// A call as a wallet takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WalletCall {
    /// The token's contract.
    to: String,
    /// The calldata.
    data: String,
    /// No native token is sent.
    #[schema(example = "0x0")]
    value: &'static str,
    /// The chain, in hex.
    #[schema(example = "0x1")]
    chain_id: String,
}

/// How far confirmation has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Confirmations)]
pub(crate) struct ConfirmationsBody {
    /// What a transfer of the due amount waits for; absent if the asset is no longer listed.
    wanted: Option<WantedBody>,
    /// Of the payment that has the fewest; absent before one was seen.
    #[schema(example = 2)]
    so_far: Option<u64>,
}

/// From the price in dollars to what is owed in tokens: `due = at_rate - tail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OrderSum)]
pub(crate) struct SumBody {
    /// Dollars per whole token.
    #[schema(value_type = String, example = "0.9998")]
    usd_per_token: Rate,
    /// The list price in the token, rounded up.
    list: TokenAmount,
    /// The price in the token, rounded up.
    at_rate: TokenAmount,
    /// A discount of less than a cent that makes the amount this order's own; zero without the lane.
    tail: TokenAmount,
    /// How far short of the due amount still counts as paid.
    tolerance: TokenAmount,
}

/// What is needed besides the order itself.
#[derive(Clone, Debug)]
pub(crate) struct OrderFacts<'a> {
    pub(crate) sale: &'a SaleSettings,
    pub(crate) offer: &'a PricedOffer,
    pub(crate) transfers: Vec<TransferBody>,
}

fn state_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Where it stands."))
        .enum_values(Some(OrderState::ALL.map(OrderState::as_str)))
        .build()
}

/// Whether nothing more is expected to change.
const fn is_final(order: &Order) -> bool {
    match order.progress.state {
        OrderState::Open | OrderState::PartiallyPaid => false,
        OrderState::Paid | OrderState::Expired => true,
    }
}

impl OrderSummary {
    pub(crate) fn new(order: &Order, symbol: Option<&str>) -> Self {
        let (terms, progress) = (&order.terms, &order.progress);
        let decimals = Some(terms.decimals);
        Self {
            id: terms.id,
            account: terms.account.clone(),
            quote: terms.quote,
            state: progress.state,
            asset: AssetBody::new(terms.asset, symbol, decimals),
            due: TokenAmount::new(terms.due_base_units, decimals),
            received: TokenAmount::new(progress.received_base_units, decimals),
            remaining: TokenAmount::new(order.remaining_base_units(), decimals),
            credits: terms.credits,
            credited: progress.credited,
            price_usd: terms.price,
            created_at: terms.created_at,
            deadline: terms.deadline,
            grace_seconds: terms.grace_seconds,
            closed: progress.closed,
        }
    }
}

impl PaymentBody {
    fn new(order: &Order) -> Option<Self> {
        let (terms, remaining) = (&order.terms, order.remaining_base_units());
        if is_final(order) || order.progress.closed || remaining == U256::ZERO {
            return None;
        }
        let calldata = transfer_calldata(terms.treasury, remaining, terms.reference);
        let calldata = format!("0x{}", hex::encode(calldata));
        Some(Self {
            amount: TokenAmount::new(remaining, Some(terms.decimals)),
            wallet_call: WalletCall {
                to: show_address(terms.asset.contract),
                data: calldata.clone(),
                value: "0x0",
                chain_id: format!("{:#x}", terms.asset.chain_id.0),
            },
            calldata,
            erc681: payment_link(terms.asset, terms.treasury, remaining),
        })
    }
}

impl OrderBody {
    /// Whether nothing more is expected to change.
    pub(crate) const fn is_final(&self) -> bool {
        self.is_final
    }

    /// Whether a payment was seen.
    pub(crate) const fn has_transfers(&self) -> bool {
        !self.transfers.is_empty()
    }

    pub(crate) fn new(order: &Order, facts: OrderFacts<'_>) -> Self {
        let terms = &order.terms;
        let amount = |base_units| TokenAmount::new(base_units, Some(terms.decimals));
        let at_rate = facts.offer.due_base_units;
        let listed = facts.sale.asset(terms.asset);
        Self {
            summary: OrderSummary::new(order, Some(&facts.offer.asset.symbol)),
            is_final: is_final(order),
            chain_id: terms.asset.chain_id.0,
            token: show_address(terms.asset.contract),
            treasury: show_address(terms.treasury),
            reference: terms.reference.to_string(),
            payment: PaymentBody::new(order),
            exact_amount_lane: terms.exact_amount_lane,
            exact_amount_note: if terms.exact_amount_lane {
                "Pay exactly the due amount: it belongs to this order alone."
            } else {
                "Pay with the wallet call: only its calldata names this order, the amount does not."
            },
            confirmations: ConfirmationsBody {
                wanted: listed.map(|listed| WantedBody::new(listed, terms.due_base_units)),
                so_far: facts.transfers.iter().map(TransferBody::confirmations).min(),
            },
            lines: facts.offer.lines.iter().map(LineBody::from).collect(),
            sum: SumBody {
                usd_per_token: terms.rate,
                list: amount(terms.list_base_units),
                at_rate: amount(at_rate),
                tail: amount(at_rate.saturating_sub(terms.due_base_units)),
                tolerance: amount(terms.tolerance_base_units),
            },
            transfers: facts.transfers,
        }
    }
}
