//! Rows in the binary form that `COPY` reads: the cheapest way into a table for the server, which takes them as they
//! come instead of unfolding arrays first.
//!
//! Never used where a row may exist already: the first that does fails the whole unit of work.

use inspay_primitives::U256;

/// What the form begins with: its name, no flags, no extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with, in place of a number of columns.
const END: i16 = -1;
/// What stands in place of a length where there is no value.
const NULL: i32 = -1;
/// A `NUMERIC` is made of digits to this base, most significant first.
const NUMERIC_BASE: u64 = 10_000;

/// A statement that takes rows, with what it takes.
pub(crate) struct Copy {
    pub(crate) statement: &'static str,
    pub(crate) columns: i16,
}

/// Rows on their way into a table.
pub(crate) struct Rows {
    bytes: Vec<u8>,
    columns: i16,
}

impl Rows {
    pub(crate) fn new(copy: &Copy, rows: usize, row_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(rows.saturating_mul(row_bytes).saturating_add(64));
        bytes.extend_from_slice(SIGNATURE);
        Self { bytes, columns: copy.columns }
    }

    /// Begins the next row; as many values follow as there are columns.
    pub(crate) fn row(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        self
    }

    /// A `BYTEA`, a `UUID`, or a text that is given as its bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // A value is at most a page of JSON: far below two gigabytes.
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    /// A `TEXT` or a `JSON`.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn smallint(&mut self, value: i16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn optional_bigint(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.bigint(value),
            None => self.null(),
        }
    }

    pub(crate) fn bigint(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.bytes(&[u8::from(value)])
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
        self
    }

    pub(crate) fn optional_bytes(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.bytes(value),
            None => self.null(),
        }
    }

    /// A `NUMERIC` without a fraction.
    pub(crate) fn units(&mut self, value: U256) -> &mut Self {
        let mut digits: Vec<i16> = value
            .to_base_le(NUMERIC_BASE)
            .map(|digit| i16::try_from(digit).unwrap_or(i16::MAX))
            .collect();
        let count = i16::try_from(digits.len()).unwrap_or(i16::MAX);
        let weight = count.saturating_sub(1).max(0);
        // Digits, the power of the first one, a positive sign, no digit after the point.
        let mut number = Vec::with_capacity(8 + 2 * digits.len());
        for part in [count, weight, 0, 0] {
            number.extend_from_slice(&part.to_be_bytes());
        }
        digits.reverse();
        for digit in digits {
            number.extend_from_slice(&digit.to_be_bytes());
        }
        self.bytes(&number)
    }

    /// All of it, to be sent.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&END.to_be_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(value: U256) -> Vec<u8> {
        let copy = Copy { statement: "", columns: 1 };
        let mut rows = Rows::new(&copy, 1, 8);
        rows.bytes.clear();
        rows.units(value);
        rows.bytes
    }

    #[test]
    fn a_number_is_digits_to_the_base_of_ten_thousand() {
        assert_eq!(units(U256::ZERO), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(units(U256::from(7)), [0, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        let two_digits = [0, 0, 0, 12, 0, 2, 0, 1, 0, 0, 0, 0, 0, 3, 0, 9];
        assert_eq!(units(U256::from(30_009)), two_digits);
        // Seventy-eight decimal digits are twenty of these, the first of them 11.
        let most = units(U256::MAX);
        assert_eq!(
            (most.len(), &most[4..14]),
            (4 + 8 + 40, &[0, 20, 0, 19, 0, 0, 0, 0, 0, 11][..])
        );
    }
}
