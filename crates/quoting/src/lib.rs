//! inspay-quoting.
