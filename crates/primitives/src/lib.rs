//! The words of the house: credits, dollars, tokens, assets, prices, blocks, transfers, orders, ids and clocks.
//!
//! Never does IO, never reads the time by itself and never holds a float. Integers count credits and
//! tokens; [`rust_decimal::Decimal`] carries dollars and rates only.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod asset;
mod block;
mod case;
mod clock;
mod confirmation;
mod credits;
mod cycle;
mod fence;
mod ids;
mod order;
mod price;
mod sign_in;
mod transfer;
mod usd;
mod zone;

pub use alloy_primitives::{Address, B256, U256, U512};
pub use asset::{Asset, AssetError, AssetId, ChainId, TokenAmountError, format_units, parse_units};
pub use block::{BlockRef, ChainView};
pub use case::{CaseClosing, CaseId, CaseKind, CaseOpening};
pub use clock::{Clock, ManualClock, Timestamp, TimestampError};
pub use confirmation::{ConfirmationPolicy, ConfirmationRule, PolicyError, Standing};
pub use credits::{Credits, CreditsError};
pub use cycle::{Cycle, CycleError};
pub use fence::{Fence, FencingNumber};
pub use ids::{
    AccountId, HoldId, IdError, Label, LimitId, LotId, OrderId, QuoteId, Reference, SubscriptionId,
    TransferId, UsageId,
};
pub use order::{Order, OrderProgress, OrderState, OrderTerms};
pub use price::{PriceError, Rate, Rounding, mul_div};
pub use sign_in::{SignIn, SignInError, digest_to_sign, signer_of};
pub use transfer::{Direction, Transfer, TransferKey};
pub use usd::{Usd, UsdError};
pub use zone::{Day, DayError, Span, Zone, ZoneError};
