//! inspay-watcher.
