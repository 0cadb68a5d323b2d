//! The ports as one process has them: with its troubles, a planted bug if there is one, and the laws
//! checked at every write.

mod chain;
mod store;

pub(crate) use chain::SimPort;
pub(crate) use store::{SimStore, StoreTime};
