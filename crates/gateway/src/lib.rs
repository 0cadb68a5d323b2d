//! inspay-gateway.
