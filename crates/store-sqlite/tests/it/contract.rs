//! The facts that every store must show.

use crate::support::open;

inspay_ports::store_contract!(open);
