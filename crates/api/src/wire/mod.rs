//! The wire types: what the outside reads and writes, and nowhere else in the house.
//!
//! Amounts are strings, times RFC 3339. Types below the api never leave as they are.

mod account;
mod case;
mod catalog;
mod event;
mod health;
mod order;
mod payment;
mod quote;
mod spending;
mod subscription;
mod token;
mod transfer;
mod wallet;

pub(crate) use account::{BalanceBody, HistoryLineBody, HistoryPage, LotBody, LotsPage};
pub(crate) use case::{CaseBody, CasesPage};
pub(crate) use catalog::CatalogBody;
pub(crate) use event::{EventBody, EventsPage};
pub(crate) use health::{AliveBody, ChainHealth, ReadyBody};
pub(crate) use order::{OrderBody, OrderFacts, OrderRequest, OrderSummary, OrdersPage};
pub(crate) use payment::{PaymentBody, PaymentsBody, PaymentsPage};
pub(crate) use quote::{LineBody, QuoteBody, QuoteWish};
pub(crate) use spending::{
    EstimateBody, EstimateLine, EstimateWish, GrantWish, HoldBody, HoldWish, HoldsPage, LimitBody,
    LimitWish, LimitsBody, NothingWish, PartWish, ProfileBody, ProfileWish, SpendBatchWish,
    SpendOutcome, SpendOutcomes, SpendWish, UsageBody, UsageSummaryBody, UsagesPage,
};
pub(crate) use subscription::{
    PlanBody, PlansBody, SubscriptionBody, SubscriptionWish, SubscriptionsBody,
};
pub(crate) use token::{AssetBody, TokenAmount};
pub(crate) use transfer::{Shown, TransferBody, TransfersPage};
pub(crate) use wallet::{
    ChallengeBody, ChallengeWish, ClaimBody, ClaimWish, ClaimsBody, ProofWish, WalletBody,
    WalletsBody,
};
