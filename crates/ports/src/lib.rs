//! inspay-ports.
