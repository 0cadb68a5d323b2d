//! Numbers out of JSON by their digits.
//!
//! Never parses a number: its text is cut out of the document and read exactly or refused.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The most that an exponent may move the point; a rate holds 28 digits.
const EXPONENT_MAX: i64 = 60;

/// The text of the number or string at an RFC 6901 pointer.
pub(crate) fn scalar_at(document: &str, pointer: &str) -> Result<String, String> {
    let found = value_at(document, pointer)?;
    if found.starts_with('"') {
        return serde_json::from_str(found).map_err(|error| error.to_string());
    }
    if found.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(found.to_owned());
    }
    Err(format!("{pointer} is neither a number nor a string"))
}

fn value_at<'a>(document: &'a str, pointer: &str) -> Result<&'a str, String> {
    let root: &RawValue = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let mut value = root.get().trim();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        value = child(value, &token).ok_or_else(|| format!("nothing at {pointer}"))?;
    }
    Ok(value)
}

fn child<'a>(value: &'a str, token: &str) -> Option<&'a str> {
    let found = if value.starts_with('{') {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(value).ok()?;
        *members.get(token)?
    } else {
        let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
        *items.get(token.parse::<usize>().ok()?)?
    };
    Some(found.get().trim())
}

/// A number such as `3.17e-2` without its exponent and without zeros that say nothing: `0.0317`.
///
/// `None` for what is no number, or one beyond any rate.
pub(crate) fn plain_decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let (whole, fraction) = match usize::try_from(point) {
        Ok(point) if point <= digits.len() => {
            let (whole, fraction) = digits.split_at(point);
            (whole.to_owned(), fraction.to_owned())
        }
        Ok(point) => (format!("{digits:0<point$}"), String::new()),
        Err(_) => {
            let zeros = usize::try_from(point.unsigned_abs()).ok()?;
            (String::new(), format!("{}{digits}", "0".repeat(zeros)))
        }
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_at_a_pointer_are_kept_as_written() {
        let document = r#" {"data": [{"price": 0.10000000000000000001, "a/b": {"~": "1.50"}}],
            "n": null, "t": true, "deep": {"e": -1e-7}} "#;
        let cases = [
            ("/data/0/price", Ok("0.10000000000000000001")),
            ("/data/0/a~1b/~0", Ok("1.50")),
            ("/deep/e", Ok("-1e-7")),
            ("/data/1/price", Err("nothing at /data/1/price")),
            ("/data/x", Err("nothing at /data/x")),
            ("/n", Err("/n is neither a number nor a string")),
            ("/t", Err("/t is neither a number nor a string")),
            ("", Err(" is neither a number nor a string")),
            ("/n/more", Err("nothing at /n/more")),
        ];
        for (pointer, expected) in cases {
            let found = scalar_at(document, pointer);
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{pointer}");
        }
        assert!(scalar_at("<html>", "/a").is_err());
        assert!(scalar_at("{\"a\": 1", "/a").is_err());
        assert_eq!(scalar_at("7", ""), Ok("7".to_owned()));
    }

    #[test]
    fn exponents_move_the_point_exactly() {
        let cases = [
            ("1.0003", Some("1.0003")),
            ("3.17e-2", Some("0.0317")),
            ("9.98E-05", Some("0.0000998")),
            ("1.5e+3", Some("1500")),
            ("15e-1", Some("1.5")),
            ("1.50000000000000000000000000000000000", Some("1.5")),
            ("000", Some("0")),
            ("0e5", Some("0")),
            (
                "1e60",
                Some(concat!("1", "000000000000000000000000000000000000000000000000000000000000")),
            ),
            ("1e61", None),
            ("1e99999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            (".5", None),
            ("1,5", None),
            ("NaN", None),
            ("0x10", None),
            ("1_000", None),
        ];
        for (text, expected) in cases {
            assert_eq!(plain_decimal(text).as_deref(), expected, "{text}");
        }
    }
}
