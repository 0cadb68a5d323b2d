//! The ledger's rules by example and by property.

mod books;
mod lots;
mod names;
mod properties;
mod rows;
mod spending;
mod support;
