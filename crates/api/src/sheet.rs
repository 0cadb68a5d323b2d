//! Lists as comma-separated values, where a reader asks for them.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use inspay_reports::account::Sheet;

use crate::problem::{Problem, ProblemCode};

/// Whether comma-separated values are asked for.
pub(crate) fn is_csv(format: Option<&str>) -> Result<bool, Problem> {
    match format {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(_) => Err(Problem::at(ProblemCode::QueryInvalid, "format", "Ask for json or csv.")),
    }
}

/// Comma-separated values; the cursor of the next page is in the header `Next-After`.
pub(crate) fn csv(sheet: &Sheet, next: Option<String>) -> Response {
    let head = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
    let mut response = (head, sheet.csv()).into_response();
    if let Some(next) = next.and_then(|next| next.parse().ok()) {
        response.headers_mut().insert("next-after", next);
    }
    response
}
