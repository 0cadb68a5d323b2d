//! Attribution and planning by table; the worker over a store and a chain in memory.

mod attribution;
mod planning;
mod shown;
mod support;
mod working;
mod world;
