//! Whether the process lives, whether it is of use, and its numbers.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use inspay_ports::StoreError;

use crate::{
    problem::{Problem, ProblemCode, chain_of},
    state::ApiState,
    wire::{AliveBody, ChainHealth, ReadyBody},
};

/// A database that has not answered by then is not ready.
const DATABASE_WAIT_MAX: Duration = Duration::from_secs(5);
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether the process lives. Asks nothing else.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "get_health", security(()),
    responses((status = 200, description = "It lives.", body = AliveBody)))]
pub(crate) async fn alive() -> Json<AliveBody> {
    Json(AliveBody { status: "alive" })
}

/// What is wrong with the database, or its schema version.
async fn database(state: &ApiState) -> Result<i64, (&'static str, String)> {
    let asked = async {
        state.store().ping().await?;
        state.store().schema_versions().await
    };
    let answered: Result<(i64, i64), StoreError> =
        match tokio::time::timeout(DATABASE_WAIT_MAX, asked).await {
            Ok(answered) => answered,
            Err(_) => {
                let seconds = DATABASE_WAIT_MAX.as_secs();
                return Err((
                    "database_slow",
                    format!("The database has not answered in {seconds} seconds."),
                ));
            }
        };
    match answered {
        Ok((applied, known)) if applied == known => Ok(applied),
        Ok((applied, known)) if applied > known => Err((
            "schema_from_future",
            format!(
                "The database has migration {applied}, this release knows {known}. Run a newer release."
            ),
        )),
        Ok((applied, known)) => Err((
            "schema_outdated",
            format!(
                "The database has migration {applied}, this release knows {known}. Run: inspay migrate"
            ),
        )),
        Err(error) => {
            tracing::warn!(error = %chain_of(&error), "the database is not ready");
            Err(("database_unreachable", "The database does not answer.".to_owned()))
        }
    }
}

/// Whether every component is ready: the database answers, its schema is current, and every chain is
/// followed to its head. An asset that is halted is named, and keeps nothing else from being ready.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "Everything is ready.", body = ReadyBody)))]
pub(crate) async fn ready(State(state): State<ApiState>) -> Result<Json<ReadyBody>, Problem> {
    let database = database(&state).await;
    let chains = (state.parts.chains)();
    let mut problem = Problem::new(ProblemCode::NotReady, "Not every component is ready.");
    if let Err((code, detail)) = &database {
        problem = problem.with_fact("database", *code, detail);
    }
    for chain in &chains {
        if let Some((kind, detail)) = &chain.trouble {
            problem = problem.with_fact(format!("chain {}", chain.chain_id), kind.as_str(), detail);
        }
    }
    let Ok(schema_version) = database else { return Err(problem) };
    let is_ready = problem.errors.is_empty();
    let mut healths = Vec::with_capacity(chains.len());
    for chain in &chains {
        // What is halted is one asset's trouble: the others are credited, so that this is of use.
        let halts = state.store().halts(chain.chain_id).await?;
        for halt in halts.iter().filter(|_| !is_ready) {
            problem =
                problem.with_fact(format!("chain {}", chain.chain_id), "asset_halted", &halt.why);
        }
        healths.push(ChainHealth::new(chain, &halts));
    }
    if is_ready {
        Ok(Json(ReadyBody { status: "ready", schema_version, chains: healths }))
    } else {
        Err(problem)
    }
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "get_metrics", security(()),
    responses((status = 200, description = "Prometheus text.", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], (state.parts.metrics)()).into_response()
}
