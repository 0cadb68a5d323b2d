//! Several statements that are handed over at once and run in their order.
//!
//! Each hand-over to the connection's thread and back costs more than a small statement does. A script stops at the
//! first statement that fails; it is no unit of work by itself, so it runs inside one.

use crate::bulk::{Bulk, ONE_STATEMENT_ROWS, Row};

/// Statements with their values. Only bare question marks stand for values: numbers would count through the whole.
#[derive(Default)]
pub(crate) struct Script {
    text: String,
    values: Row,
    must_change: Vec<Option<u64>>,
}

impl Script {
    /// Adds a statement.
    pub(crate) fn add(&mut self, sql: &'static str, bind: impl FnOnce(&mut Row)) {
        #[cfg(test)]
        crate::plans::record(sql);
        self.push(sql, None);
        bind(&mut self.values);
    }

    /// Adds a statement over rows, of which it must change every one. Nothing is added for no rows.
    pub(crate) fn bulk<T>(&mut self, bulk: &Bulk, rows: &[T], bind: fn(&T, &mut Row)) {
        for chunk in rows.chunks(ONE_STATEMENT_ROWS) {
            let text = bulk.text(chunk.len());
            #[cfg(test)]
            crate::plans::record(&text);
            self.push(&text, u64::try_from(chunk.len()).ok());
            for row in chunk {
                bind(row, &mut self.values);
            }
        }
    }

    fn push(&mut self, sql: &str, must_change: Option<u64>) {
        self.text.push_str(sql);
        self.text.push(';');
        self.must_change.push(must_change);
    }

    /// The text, the values, and how many rows each statement must change.
    pub(crate) fn into_parts(self) -> (String, Row, Vec<Option<u64>>) {
        (self.text, self.values, self.must_change)
    }
}
