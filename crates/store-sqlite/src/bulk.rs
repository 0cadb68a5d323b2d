//! Statements over many rows: one group of binds for each row.
//!
//! Ten thousand transfers are written in about half the time that one JSON text read by `json_each` takes. Few
//! different numbers of rows are used, so that every text is prepared once.

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Sqlite, Type, error::BoxDynError,
    sqlite::SqliteArguments,
};

use crate::session::Statement;

/// How many rows a statement may have, most first; the last is one, so that any number is made up of them. What one
/// payment brings to any table takes one statement.
const ROWS: [usize; 14] = [512, 256, 128, 64, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1];

/// Any number of rows up to this takes one statement.
pub(crate) const ONE_STATEMENT_ROWS: usize = 8;

/// A statement's text around its rows.
pub(crate) struct Bulk {
    /// What comes before the rows, up to `VALUES`.
    pub(crate) before: &'static str,
    /// How many columns a row has.
    pub(crate) columns: usize,
    /// What comes after the rows.
    pub(crate) after: &'static str,
}

/// The values that are bound so far.
#[derive(Default)]
pub(crate) struct Row {
    arguments: SqliteArguments,
    failure: Option<BoxDynError>,
}

impl Row {
    /// The statement of that text with the values bound so far. The text must be made of constants and question marks.
    pub(crate) fn into_statement(self, text: String) -> Result<Statement, sqlx::Error> {
        match self.failure {
            Some(failure) => Err(sqlx::Error::Encode(failure)),
            None => Ok(sqlx::query_with(AssertSqlSafe(text), self.arguments)),
        }
    }

    /// Binds the next column.
    pub(crate) fn put<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(failure) = self.arguments.add(value) {
            self.failure.get_or_insert(failure);
        }
        self
    }
}

impl Bulk {
    /// The statement's text for that many rows.
    pub(crate) fn text(&self, rows: usize) -> String {
        let group_len = self.columns.saturating_mul(2).saturating_add(2);
        let around = self.before.len().saturating_add(self.after.len());
        let mut text = String::with_capacity(around.saturating_add(rows.saturating_mul(group_len)));
        text.push_str(self.before);
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..self.columns {
                text.push_str(if column == 0 { "?" } else { ",?" });
            }
            text.push(')');
        }
        text.push_str(self.after);
        text
    }

    /// The statement with the values of these rows.
    pub(crate) fn statement<T>(
        &self,
        rows: &[T],
        bind: fn(&T, &mut Row),
    ) -> Result<Statement, sqlx::Error> {
        let mut values = Row::default();
        values.arguments.reserve(rows.len().saturating_mul(self.columns), 0);
        for row in rows {
            bind(row, &mut values);
        }
        let text = self.text(rows.len());
        #[cfg(test)]
        ROWS.iter().for_each(|rows| crate::plans::record(&self.text(*rows)));
        values.into_statement(text)
    }
}

/// The rows in pieces of the sizes that statements have.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at_checked(size)?;
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_few_sizes() {
        for count in [0, 1, 7, 8, 9, 127, 128, 129, 1000] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            assert!(pieces.iter().all(|piece| ROWS.contains(&piece.len())));
        }
    }

    #[test]
    fn a_row_is_a_group_of_question_marks() {
        let bulk = Bulk { before: "INSERT INTO t (a, b) VALUES ", columns: 2, after: ";" };
        assert_eq!(bulk.text(1), "INSERT INTO t (a, b) VALUES (?,?);");
        assert_eq!(bulk.text(2), "INSERT INTO t (a, b) VALUES (?,?),(?,?);");
    }
}
