//! Cases: what a person of the finance has to look at.

use async_trait::async_trait;
use inspay_ports::{CaseFilter, CaseRecord, CaseStore, Page, StoreError, StoreErrorKind};
use inspay_primitives::{CaseClosing, CaseId, CaseKind, CaseOpening};
use sqlx::postgres::PgRow;

use crate::{
    codec::{Fields, Read, all},
    error::wrong,
    session::Session,
    store::PostgresStore,
};

/// A number is used up only where another session opens the same case at once.
const OPEN: &str = "INSERT INTO finance_case (kind, subject, opened_at, body) \
     SELECT DISTINCT ON (told.kind, told.subject) told.kind, told.subject, told.opened_at, told.body \
     FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[]) AS told(kind, subject, opened_at, body) \
     WHERE NOT EXISTS (SELECT 1 FROM finance_case c \
         WHERE c.kind = told.kind AND c.subject = told.subject AND c.resolved_at IS NULL) \
     ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO NOTHING";

const RESOLVE: &str = "UPDATE finance_case SET resolved_at = told.resolved_at, resolution = told.resolution \
     FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[]) AS told(kind, subject, resolved_at, resolution) \
     WHERE finance_case.kind = told.kind AND finance_case.subject = told.subject \
     AND finance_case.resolved_at IS NULL";

const OPEN_ONE: &str =
    "SELECT id FROM finance_case WHERE kind = $1 AND subject = $2 AND resolved_at IS NULL";

macro_rules! select_cases {
    () => {
        "SELECT id, kind, subject, opened_at, body, resolved_at, resolution FROM finance_case "
    };
}

const ONE: &str = concat!(select_cases!(), "WHERE id = $1");

const LIST: &str = concat!(
    select_cases!(),
    "WHERE id < $1 AND ($2::text IS NULL OR kind = $2) AND (NOT $3 OR resolved_at IS NULL) \
     ORDER BY id DESC LIMIT $4",
);

/// Opens cases within an open unit of work; those that are open already stay as they are.
pub(crate) async fn open_cases(
    session: &mut Session,
    openings: &[CaseOpening],
) -> Result<(), StoreError> {
    if openings.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = openings.iter().map(|opening| opening.kind.as_str()).collect();
    let subjects: Vec<&str> = openings.iter().map(|opening| opening.subject.as_str()).collect();
    let times: Vec<i64> = openings.iter().map(|opening| opening.opened_at.micros()).collect();
    let bodies: Vec<&str> = openings.iter().map(|opening| opening.body_json.as_str()).collect();
    let open = sqlx::query(OPEN).bind(kinds).bind(subjects).bind(times).bind(bodies);
    session.run(open).await.map(drop)
}

/// Resolves open cases within an open unit of work; how many of them were open.
pub(crate) async fn resolve_cases(
    session: &mut Session,
    closings: &[CaseClosing],
) -> Result<u64, StoreError> {
    if closings.is_empty() {
        return Ok(0);
    }
    let kinds: Vec<&str> = closings.iter().map(|closing| closing.kind.as_str()).collect();
    let subjects: Vec<&str> = closings.iter().map(|closing| closing.subject.as_str()).collect();
    let times: Vec<i64> = closings.iter().map(|closing| closing.resolved_at.micros()).collect();
    let ends: Vec<&str> = closings.iter().map(|closing| closing.resolution.as_str()).collect();
    session.run(sqlx::query(RESOLVE).bind(kinds).bind(subjects).bind(times).bind(ends)).await
}

#[async_trait]
impl CaseStore for PostgresStore {
    async fn open_case(&self, opening: CaseOpening) -> Result<CaseId, StoreError> {
        let mut session = self.begin_paged("open a case").await?;
        let wrong = wrong(session.act);
        open_cases(&mut session, std::slice::from_ref(&opening)).await?;
        let find = sqlx::query(OPEN_ONE).bind(opening.kind.as_str()).bind(&opening.subject);
        let rows = session.rows(find).await?;
        let Some(row) = rows.first() else {
            // One that was open before was resolved meanwhile.
            let why = "the case was resolved while it was opened again".to_owned();
            return Err(wrong(StoreErrorKind::Contended(why)));
        };
        let id = Fields(row).get("id").map(CaseId).map_err(&wrong)?;
        session.commit().await?;
        Ok(id)
    }

    async fn resolve_case(&self, closing: CaseClosing) -> Result<bool, StoreError> {
        let mut session = self.begin_paged("resolve a case").await?;
        let resolved = resolve_cases(&mut session, &[closing]).await?;
        session.commit().await?;
        Ok(resolved > 0)
    }

    async fn case(&self, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
        let single = self.paged("read a case");
        let row = single.row(sqlx::query(ONE).bind(id.0)).await?;
        row.as_ref().map(record).transpose().map_err(wrong(single.act))
    }

    async fn cases(&self, filter: CaseFilter, page: Page) -> Result<Vec<CaseRecord>, StoreError> {
        let single = self.paged("list cases");
        let query = sqlx::query(LIST)
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(filter.kind.map(CaseKind::as_str))
            .bind(filter.open_only)
            .bind(i64::from(page.limit));
        all(&single.rows(query).await?, record).map_err(wrong(single.act))
    }
}

fn record(row: &PgRow) -> Read<CaseRecord> {
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
