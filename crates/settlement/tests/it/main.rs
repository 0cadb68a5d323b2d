//! Attribution and planning by table.

mod attribution;
mod planning;
mod support;
