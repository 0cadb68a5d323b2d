//! The HTTP surface: routes, wire types, OpenAPI and the documentation page.
//!
//! The only crate that knows how anything looks from outside. Never decides about money: quotes come
//! from quoting, balances and what may be spent from the books.

mod accept;
mod auth;
mod cursor;
mod estimate;
mod extract;
mod idempotency;
mod observe;
mod openapi;
mod payment;
mod pending;
mod problem;
mod problem_from;
mod router;
mod routes;
mod sheet;
mod spend;
mod state;
mod wire;

pub use auth::{NewKey, generate_key, hash_key};
pub use payment::{payment_link, transfer_calldata};
pub use problem::{Problem, ProblemCode, ProblemFact};
pub use router::{openapi, router};
pub use state::{
    ApiParts, ChainStatus, ChainStatuses, ChainTroubleKind, CreditSettings, FreePlan, MetricsText,
    Plan, PricingInputs, SaleAgreement, SaleAsset, SaleSettings, Timing, WalletSettings,
};
