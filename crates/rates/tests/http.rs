//! An HTTP source against a server that answers what it is told to.

use std::{net::SocketAddr, time::Duration};

use inspay_ports::{RateSource as _, RateSourceErrorKind};
use inspay_primitives::Timestamp;
use inspay_quoting::RateSample;
use inspay_rates::{HttpJsonRate, HttpJsonSettings, HttpSetupError, HttpTime, TimeUnit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

fn now() -> Timestamp {
    Timestamp::from_chain_seconds(1_760_000_000)
}

/// Answers one request with these bytes, then hangs up, or falls silent if there are none.
async fn server(response: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut request = [0u8; 4096];
        let _ = stream.read(&mut request).await.expect("reads");
        if response.is_empty() {
            std::future::pending::<()>().await;
        }
        // The client may hang up in the middle of an answer that it refuses.
        let _ = stream.write_all(&response).await;
        let _ = stream.shutdown().await;
    });
    (address, task)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn settings(url: String) -> HttpJsonSettings {
    HttpJsonSettings {
        name: "exchange".to_owned(),
        url,
        price_pointer: "/data/price".to_owned(),
        time: None,
        timeout: Duration::from_secs(10),
        bytes_max: 1_000,
    }
}

async fn ask(response: Vec<u8>, time: Option<HttpTime>) -> Result<RateSample, RateSourceErrorKind> {
    let (address, task) = server(response).await;
    let url = format!("http://{address}/price?key=secret");
    let source = HttpJsonRate::new(HttpJsonSettings { time, ..settings(url) }).expect("set up");
    let answer = source.sample(now()).await.map_err(|error| {
        assert_eq!(error.source_name, "exchange");
        assert!(!error.kind.to_string().contains("secret"), "{}", error.kind);
        error.kind
    });
    task.abort();
    answer
}

async fn price(body: &str) -> Result<String, RateSourceErrorKind> {
    ask(http("200 OK", body), None).await.map(|sample| sample.rate.to_string())
}

#[tokio::test]
async fn prices_are_read_by_their_digits() {
    let cases = [
        (r#"{"data":{"price":0.0317}}"#, "0.0317"),
        (r#"{"data":{"price":"0.0317"}}"#, "0.0317"),
        (r#"{"data":{"price":0.1234567890123456789012345678}}"#, "0.1234567890123456789012345678"),
        (r#"{"data":{"price":9.98e-05}}"#, "0.0000998"),
        (r#"{"data":{"price":3400}}"#, "3400"),
    ];
    for (body, expected) in cases {
        assert_eq!(price(body).await.as_deref(), Ok(expected), "{body}");
    }
}

#[tokio::test]
async fn what_is_no_exact_price_is_refused() {
    let malformed = [
        r#"{"data":{"price":"abc"}}"#,
        r#"{"data":{"price":null}}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"price":0.12345678901234567890123456789}}"#,
        r#"{"data":{"price":1e40}}"#,
        r#"{"data":{"price":"1,5"}}"#,
        "<html>busy</html>",
        "",
    ];
    for body in malformed {
        let refused = price(body).await;
        assert!(matches!(refused, Err(RateSourceErrorKind::Malformed(_))), "{body}: {refused:?}");
    }
    for body in [r#"{"data":{"price":0.000}}"#, r#"{"data":{"price":-1}}"#] {
        let refused = price(body).await;
        assert!(matches!(refused, Err(RateSourceErrorKind::Refused(_))), "{body}: {refused:?}");
    }
}

#[tokio::test]
async fn the_documents_own_time_is_taken() {
    let observed = |body: &'static str, unit| async move {
        let time = Some(HttpTime { pointer: "/t".to_owned(), unit });
        ask(http("200 OK", body), time).await.map(|sample| sample.observed_at.to_string())
    };
    let expected = Ok("2025-10-09T08:53:20Z");
    let seconds = r#"{"data":{"price":1},"t":1760000000}"#;
    assert_eq!(
        observed(seconds, TimeUnit::Seconds).await.as_deref(),
        expected.as_ref().map(|it| *it)
    );
    let text = r#"{"data":{"price":1},"t":"2025-10-09T08:53:20Z"}"#;
    assert_eq!(observed(text, TimeUnit::Rfc3339).await.as_deref(), expected.as_ref().map(|it| *it));
    let millis = r#"{"data":{"price":1},"t":"1760000000000"}"#;
    assert_eq!(
        observed(millis, TimeUnit::Milliseconds).await.as_deref(),
        expected.as_ref().map(|it| *it)
    );
    for body in [r#"{"data":{"price":1},"t":1.5}"#, r#"{"data":{"price":1}}"#] {
        let refused = observed(body, TimeUnit::Seconds).await;
        assert!(matches!(refused, Err(RateSourceErrorKind::Malformed(_))), "{body}: {refused:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_success_says_what_it_was() {
    let body = r#"{"data":{"price":1}}"#;
    for status in ["500 Oops", "503 Busy", "429 Slow down"] {
        let failed = ask(http(status, body), None).await;
        assert!(matches!(failed, Err(RateSourceErrorKind::Unreachable(_))), "{status}: {failed:?}");
    }
    for status in ["404 Gone", "401 Who", "302 Elsewhere"] {
        let failed = ask(http(status, body), None).await;
        assert!(matches!(failed, Err(RateSourceErrorKind::Refused(_))), "{status}: {failed:?}");
    }
}

#[tokio::test]
async fn silence_and_floods_end() {
    let (address, task) = server(Vec::new()).await;
    let timeout = Duration::from_millis(200);
    let hasty = HttpJsonSettings { timeout, ..settings(format!("http://{address}/")) };
    let silent = HttpJsonRate::new(hasty).expect("set up").sample(now()).await;
    assert!(silent.expect_err("no answer").is_transient());
    task.abort();

    let body = format!(r#"{{"data":{{"price":1}},"more":"{}"}}"#, "x".repeat(2_000));
    let flood = ask(http("200 OK", &body), None).await;
    assert_eq!(flood, Err(RateSourceErrorKind::Malformed("more than 1000 bytes".to_owned())));

    // Without a length the size shows only while reading.
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", " ".repeat(100_000));
    let endless = ask(endless.into_bytes(), None).await;
    assert_eq!(endless, Err(RateSourceErrorKind::Malformed("more than 1000 bytes".to_owned())));

    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\"".to_vec();
    let cut = ask(cut, None).await;
    assert!(matches!(cut, Err(RateSourceErrorKind::Unreachable(_))), "{cut:?}");

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("binds").local_addr().expect("bound");
    let source = HttpJsonRate::new(settings(format!("http://{gone}/?key=secret"))).expect("set up");
    assert!(!format!("{source:?}").contains("secret"));
    let failed = source.sample(now()).await.expect_err("nobody listens");
    assert!(failed.is_transient());
    assert!(!failed.kind.to_string().contains("secret"), "{}", failed.kind);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for url in ["", "price", "file:///etc/passwd", "ftp://host/price"] {
        let refused = HttpJsonRate::new(settings(url.to_owned()));
        assert!(matches!(refused, Err(HttpSetupError::Url(_))), "{url}");
    }
    let mut wrong = settings("http://host/price".to_owned());
    wrong.price_pointer = "data.price".to_owned();
    assert!(matches!(HttpJsonRate::new(wrong), Err(HttpSetupError::Pointer { .. })));
}
