//! Logs to standard error and metrics in Prometheus form.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::exit::{Failure, FailureKind, Outcome};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging; `filter` is a `tracing` filter such as `info,inspay_watcher=debug`.
pub(crate) fn start_logs(filter: &str, form: LogForm) -> Outcome {
    let filter = EnvFilter::try_new(filter)
        .map_err(|why| Failure::new(FailureKind::Settings, "setting --log", why))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match form {
        LogForm::Text => builder.with_target(false).try_init(),
        LogForm::Json => builder.json().try_init(),
    };
    started.map_err(|why| Failure::new(FailureKind::Other, "cannot start logging", why))
}

/// Starts collecting metrics; the handle renders them.
pub(crate) fn start_metrics() -> Outcome<PrometheusHandle> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|why| Failure::new(FailureKind::Other, "cannot start collecting metrics", why))
}
