//! Cases: what a person of the finance has to look at.

use std::collections::HashSet;

use async_trait::async_trait;
use inspay_ports::{CaseFilter, CaseRecord, CaseStore, Page, StoreError, StoreErrorKind};
use inspay_primitives::{CaseClosing, CaseId, CaseKind, CaseOpening};
use sqlx::sqlite::SqliteRow;

use crate::{
    bulk::{Bulk, Row},
    codec::{Fields, Read, all},
    error::wrong,
    session::{Session, hot},
    store::SqliteStore,
};

const OPEN: Bulk = Bulk {
    before: "WITH told (kind, subject, opened_at, body) AS (VALUES ",
    columns: 4,
    after: ") INSERT INTO finance_case (kind, subject, opened_at, body) \
         SELECT kind, subject, opened_at, body FROM told WHERE NOT EXISTS (SELECT 1 FROM finance_case c \
             WHERE c.kind = told.kind AND c.subject = told.subject AND c.resolved_at IS NULL)",
};

const RESOLVE: Bulk = Bulk {
    before: "WITH told (kind, subject, resolved_at, resolution) AS (VALUES ",
    columns: 4,
    after: ") UPDATE finance_case SET resolved_at = told.resolved_at, resolution = told.resolution FROM told \
         WHERE finance_case.kind = told.kind AND finance_case.subject = told.subject \
         AND finance_case.resolved_at IS NULL",
};

const OPEN_ONE: &str =
    "SELECT id FROM finance_case WHERE kind = ?1 AND subject = ?2 AND resolved_at IS NULL";

macro_rules! select_cases {
    () => {
        "SELECT id, kind, subject, opened_at, body, resolved_at, resolution FROM finance_case "
    };
}

const ONE: &str = concat!(select_cases!(), "WHERE id = ?1");

const LIST: &str = concat!(
    select_cases!(),
    "WHERE id < ?1 AND (?2 IS NULL OR kind = ?2) AND (?3 = 0 OR resolved_at IS NULL) \
     ORDER BY id DESC LIMIT ?4",
);

/// Opens cases within an open unit of work; those that are open already stay as they are.
pub(crate) async fn open_cases(
    session: &mut Session,
    openings: &[CaseOpening],
) -> Result<(), StoreError> {
    if openings.is_empty() {
        return Ok(());
    }
    let mut told = HashSet::new();
    let rows: Vec<&CaseOpening> = openings
        .iter()
        .filter(|opening| told.insert((opening.kind, opening.subject.as_str())))
        .collect();
    let bind = |opening: &&CaseOpening, row: &mut Row| {
        row.put(opening.kind.as_str())
            .put(opening.subject.clone())
            .put(opening.opened_at.micros())
            .put(opening.body_json.clone());
    };
    session.bulk(&OPEN, &rows, bind).await.map(drop)
}

/// Resolves open cases within an open unit of work; how many of them were open.
pub(crate) async fn resolve_cases(
    session: &mut Session,
    closings: &[CaseClosing],
) -> Result<u64, StoreError> {
    if closings.is_empty() {
        return Ok(0);
    }
    let bind = |closing: &CaseClosing, row: &mut Row| {
        row.put(closing.kind.as_str())
            .put(closing.subject.clone())
            .put(closing.resolved_at.micros())
            .put(closing.resolution.clone());
    };
    session.bulk(&RESOLVE, closings, bind).await
}

#[async_trait]
impl CaseStore for SqliteStore {
    async fn open_case(&self, opening: CaseOpening) -> Result<CaseId, StoreError> {
        let mut session = self.begin("open a case").await?;
        let wrong = wrong(session.act);
        open_cases(&mut session, std::slice::from_ref(&opening)).await?;
        let find = hot(OPEN_ONE).bind(opening.kind.as_str()).bind(opening.subject);
        let Some(row) = session.row(find).await? else {
            let why = "a case that was opened is not there".to_owned();
            return Err(wrong(StoreErrorKind::Corrupt(why)));
        };
        let id = Fields(&row).get("id").map(CaseId).map_err(&wrong)?;
        session.commit().await?;
        Ok(id)
    }

    async fn resolve_case(&self, closing: CaseClosing) -> Result<bool, StoreError> {
        let mut session = self.begin("resolve a case").await?;
        let resolved = resolve_cases(&mut session, &[closing]).await?;
        session.commit().await?;
        Ok(resolved > 0)
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        let single = self.read("read a case");
        let row = single.row(hot(ONE).bind(id.0)).await?;
        row.as_ref().map(record).transpose().map_err(wrong(single.act))
    }

    async fn cases(&self, filter: CaseFilter, page: Page) -> Result<Vec<CaseRecord>, StoreError> {
        let single = self.read("list cases");
        let query = hot(LIST)
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(filter.kind.map(CaseKind::as_str))
            .bind(filter.open_only)
            .bind(i64::from(page.limit));
        all(&single.rows(query).await?, record).map_err(wrong(single.act))
    }
}

fn record(row: &SqliteRow) -> Read<CaseRecord> {
    let fields = Fields(row);
    let opening = CaseOpening {
        kind: fields.text("kind", CaseKind::parse)?,
        subject: fields.get("subject")?,
        opened_at: fields.time("opened_at")?,
        body_json: fields.get("body")?,
    };
    let resolved = match fields.get::<Option<String>>("resolution")? {
        Some(resolution) => Some((fields.time("resolved_at")?, resolution)),
        None => None,
    };
    Ok(CaseRecord { id: CaseId(fields.get("id")?), opening, resolved })
}
