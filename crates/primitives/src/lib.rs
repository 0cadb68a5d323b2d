//! inspay-primitives.
