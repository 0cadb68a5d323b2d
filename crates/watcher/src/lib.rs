//! The follower of a chain: which blocks it has, what they hold, and when that changes.
//!
//! ```text
//! Chain ──▶ Follower ──(facts)──▶ Follow ──(what next)──▶ Follower ──▶ Store: blocks, transfers, cursor: ONE commit
//! ```
//!
//! [`Follow`] and [`RangePlanner`] are pure; [`Follower`] drives them over the ports. Never applies a block
//! without a proof that its set of transfers is whole, never passes a block it has not read, and never
//! takes anything but an answer over HTTP for a fact.

mod audit;
mod backfill;
mod bisect;
mod catch_up;
mod check;
mod compare;
mod error;
mod follow;
mod follower;
mod halts;
mod heal;
mod lease;
mod meters;
mod ranges;
mod reader;
mod reread;
mod rescan;
mod run;
mod second_pass;
mod settings;
mod status;
mod tags;
mod window;

pub use audit::Finding;
pub use backfill::{BackfillProgress, BackfillReport};
pub use check::{SettingsRefused, SettingsRefusedKind, check_settings};
pub use compare::Sides;
pub use error::FollowError;
pub use follow::{Disagreement, Fact, Follow, FollowRules, HaltReason, Idle, Next};
pub use follower::{Follower, Stepped};
pub use lease::{LeaseHeld, LeaseLost, LeaseTerms};
pub use ranges::{RangePlanner, RangeRequest, Refused};
pub use rescan::Rescanned;
pub use settings::{FollowSettings, FollowedAsset, RangeSettings};
pub use status::{FollowStatus, Stall};
pub use window::Window;
