//! The application's feed: typed events, each with a sequence and a full snapshot.

use inspay_ledger::{Event, EventKind, EventSnapshot};
use inspay_primitives::{AccountId, AssetId, Credits, OrderId, Timestamp, TransferId, U256};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};

use super::{AssetBody, TokenAmount};
use crate::state::SaleSettings;

/// Something that happened, enqueued in the commit that made it true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventBody {
    /// Counted from one, without gaps.
    #[schema(example = 7)]
    seq: i64,
    /// What happened.
    #[schema(schema_with = kind_schema)]
    #[serde(rename = "type")]
    kind: EventKind,
    /// When it was booked.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Whose account it is about.
    #[schema(value_type = Option<String>, example = "alice")]
    account: Option<AccountId>,
    /// The order it is about.
    #[schema(value_type = Option<String>)]
    order: Option<OrderId>,
    /// The transfer it is about.
    #[schema(value_type = Option<String>)]
    transfer: Option<TransferId>,
    /// The journal entry that was posted with it.
    entry: Option<i64>,
    /// How things stood right after it.
    snapshot: SnapshotBody,
}

/// How everything the event is about stood right after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EventSnapshot)]
pub(crate) struct SnapshotBody {
    /// State of the order.
    #[schema(example = "paid")]
    order_state: Option<String>,
    /// Settled in time so far.
    received: Option<TokenAmount>,
    /// What is owed in all.
    due: Option<TokenAmount>,
    /// What the order has granted in all.
    #[schema(value_type = Option<String>, example = "1000.000000")]
    credited: Option<Credits>,
    /// What this event granted; negative if it took it back.
    #[schema(value_type = Option<String>, example = "1000.000000")]
    credits_delta: Option<Credits>,
    /// The account's credits after it, lapsed lots that are not booked yet included.
    #[schema(value_type = Option<String>, example = "1000.000000")]
    balance: Option<Credits>,
    /// The asset that moved.
    asset: Option<AssetBody>,
    /// How much of it moved.
    amount: Option<TokenAmount>,
    /// The chain transaction that it moved in.
    tx_hash: Option<String>,
    /// The block that it was settled in.
    block_number: Option<u64>,
    /// The evidence of an attribution, or the reason of a suspension.
    #[schema(example = "reference")]
    why: Option<String>,
}

/// A page of events in sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EventsPage {
    /// The events.
    pub(crate) items: Vec<EventBody>,
    /// Send it as `after` to go on; it stays the same while there is nothing new.
    #[schema(example = "7")]
    pub(crate) next: String,
}

fn kind_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What happened."))
        .enum_values(Some(EventKind::ALL.map(EventKind::as_str)))
        .build()
}

impl EventBody {
    pub(crate) fn new(event: &Event, sale: &SaleSettings) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind,
            created_at: event.created_at,
            account: event.account.clone(),
            order: event.order,
            transfer: event.transfer,
            entry: event.entry_seq,
            snapshot: SnapshotBody::new(&event.snapshot, sale),
        }
    }
}

impl SnapshotBody {
    fn new(snapshot: &EventSnapshot, sale: &SaleSettings) -> Self {
        let id: Option<AssetId> = snapshot.asset.as_deref().and_then(|text| text.parse().ok());
        let listed = id.and_then(|id| sale.asset(id)).map(|listed| &listed.asset);
        let decimals = listed.map(|asset| asset.decimals);
        let amount = |text: &Option<String>| {
            text.as_deref().map(|text| match text.parse::<U256>() {
                Ok(base_units) => TokenAmount::new(base_units, decimals),
                Err(_) => TokenAmount { base_units: text.to_owned(), decimal: None },
            })
        };
        Self {
            order_state: snapshot.order_state.clone(),
            received: amount(&snapshot.received_base_units),
            due: amount(&snapshot.due_base_units),
            credited: snapshot.credited,
            credits_delta: snapshot.credits_delta,
            balance: snapshot.balance,
            asset: id
                .map(|id| listed.map_or_else(|| AssetBody::new(id, None, None), AssetBody::from)),
            amount: amount(&snapshot.base_units),
            tx_hash: snapshot.tx_hash.clone(),
            block_number: snapshot.block_number,
            why: snapshot.why.clone(),
        }
    }
}
