//! inspay-devchain.
