//! inspay-reports.
