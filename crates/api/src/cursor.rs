//! Page cursors: opaque outside, a position with its list's name inside.
//!
//! A cursor of one list is refused by another.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::problem::{Problem, ProblemCode};

/// Rows on a page when nothing is said.
pub(crate) const LIMIT_DEFAULT: u32 = 50;
/// The most rows on a page.
pub(crate) const LIMIT_MAX: u32 = 200;

/// Writes a cursor.
pub(crate) fn encode(list: &str, position: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{list}:{position}"))
}

fn decode(list: &str, cursor: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix(list)?.strip_prefix(':').map(str::to_owned)
}

/// Reads a cursor of that list.
pub(crate) fn read<T: std::str::FromStr>(
    list: &str,
    cursor: Option<&str>,
) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let invalid = || {
        Problem::at(
            ProblemCode::CursorInvalid,
            "after",
            "Send the `next` of an earlier page of this list.",
        )
    };
    let position = decode(list, cursor).ok_or_else(invalid)?;
    position.parse().map(Some).map_err(|_| invalid())
}

/// Reads the number of rows asked for.
pub(crate) fn read_limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(limit) => Err(Problem::at(
            ProblemCode::QueryInvalid,
            "limit",
            format!("limit is {limit}, and must be from 1 to {LIMIT_MAX}"),
        )),
    }
}

/// Cuts what was read with one row more than asked for into a page, and says where the next begins.
pub(crate) fn cut<T>(
    mut rows: Vec<T>,
    limit: u32,
    next: impl FnOnce(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let next = rows.last().map(next);
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let cursor = encode("orders", "42");
        assert_eq!(read::<i64>("orders", Some(&cursor)).expect("reads"), Some(42));
        assert_eq!(read::<i64>("orders", None).expect("reads"), None);
        for wrong in [&*cursor, "", "!", "NDI"] {
            let problem = read::<i64>("transfers", Some(wrong)).expect_err("refused");
            assert_eq!(problem.code, ProblemCode::CursorInvalid);
        }
    }

    #[test]
    fn a_page_has_a_next_only_if_there_is_more() {
        let next = |row: &i32| row.to_string();
        assert_eq!(cut(vec![1, 2, 3], 2, next), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(cut(vec![1, 2], 2, next), (vec![1, 2], None));
        assert_eq!(cut(Vec::new(), 2, next), (Vec::new(), None));
    }

    #[test]
    fn a_limit_is_bounded() {
        assert_eq!(read_limit(None).expect("default"), LIMIT_DEFAULT);
        assert_eq!(read_limit(Some(LIMIT_MAX)).expect("the most"), LIMIT_MAX);
        for wrong in [0, LIMIT_MAX + 1] {
            assert_eq!(
                read_limit(Some(wrong)).expect_err("refused").code,
                ProblemCode::QueryInvalid
            );
        }
    }
}
