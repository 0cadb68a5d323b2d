//! The OpenAPI document and the page that shows it.
//!
//! The page loads nothing from another host: its policy forbids it, and a test reads its files.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

use crate::state::ApiState;

const PAGE: &str = include_str!("../pages/docs.html");
const SCRIPT: &str = include_str!("../pages/docs.js");
const STYLE: &str = include_str!("../pages/docs.css");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

/// `/docs`, its two files, and `/openapi.json`.
pub(crate) fn routes(openapi_json: Arc<str>) -> Router<ApiState> {
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Router::new()
        .route("/docs", get(|| async { file("text/html; charset=utf-8", PAGE) }))
        .route("/docs/docs.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/docs/docs.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/openapi.json", get(move || async move { (json, openapi_json.to_string()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_other_host() {
        for file in [PAGE, SCRIPT, STYLE] {
            for marker in ["http://", "https://", "src=\"//", "href=\"//", "@import", "url("] {
                assert!(!file.contains(marker), "{marker}");
            }
        }
    }

    #[test]
    fn the_page_runs_under_its_own_policy() {
        for marker in ["<style", "style=\"", "onclick=", "javascript:"] {
            assert!(!PAGE.contains(marker), "{marker}");
        }
        for marker in ["innerHTML", "eval(", ".style."] {
            assert!(!SCRIPT.contains(marker), "{marker}");
        }
    }
}
