//! Databases that are made for one run and dropped afterwards, on a server that stays.
//!
//! Never touches a database that it did not make: names carry a prefix of their own.

use std::str::FromStr as _;

use inspay_ports::{StoreError, StoreErrorKind};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use crate::error::failed;

const PREFIX: &str = "inspay_scratch_";

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        let why = "the database URL is not of the form postgres://user@host:port/database";
        StoreError::new("connect", StoreErrorKind::Refused(why.to_owned()))
    })?;
    Ok(options.disable_statement_logging())
}

/// Makes an empty database on the server of `url`; answers its name and its URL.
pub async fn create_scratch_database(url: &str) -> Result<(String, String), StoreError> {
    const ACT: &str = "make a scratch database";
    let server = options(url)?;
    let name = format!("{PREFIX}{}", uuid::Uuid::now_v7().simple());
    let mut connection = server.connect().await.map_err(failed(ACT))?;
    // The name is ours: a prefix and 32 hex digits.
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .map_err(failed(ACT))?;
    connection.close().await.map_err(failed(ACT))?;
    let scratch = server.database(&name).to_url_lossy().to_string();
    Ok((name, scratch))
}

/// Drops a database that [`create_scratch_database`] made, cutting its connections. Refuses any other name.
pub async fn drop_scratch_database(url: &str, name: &str) -> Result<(), StoreError> {
    const ACT: &str = "drop a scratch database";
    let is_ours = name.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if !is_ours {
        let why = format!("{name:?} is not a scratch database");
        return Err(StoreError::new(ACT, StoreErrorKind::Refused(why)));
    }
    let mut connection = options(url)?.connect().await.map_err(failed(ACT))?;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        .execute(&mut connection)
        .await
        .map_err(failed(ACT))?;
    connection.close().await.map_err(failed(ACT))
}
