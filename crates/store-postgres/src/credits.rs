//! Reads of credits in use, and what of them is due.

use std::collections::HashMap;

use async_trait::async_trait;
use inspay_ledger::{Hold, Limit, Lot, Profile, Slice, Usage, UsageDay, UsageSums, WindowUse};
use inspay_ports::{CreditStore, CreditsDue, LotChange, Page, StoreError, UsageFilter};
use inspay_primitives::{AccountId, Day, HoldId, Label, LotId, Span, Timestamp, UsageId};
use sqlx::{postgres::PgRow, types::Uuid};

use crate::{
    codec::{self, Fields, Read, all, corrupt, lot_columns},
    error::wrong,
    spending::{
        SLICES, hold, hold_columns, limit, limit_columns, profile, slice, usage, usage_columns,
        window,
    },
    store::PostgresStore,
};

const LOT: &str =
    concat!("SELECT ", lot_columns!(), " FROM lot l WHERE l.entry_seq = $1 AND l.lot_index = $2",);

const HOLD: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM hold h LEFT JOIN hold_resolution r ON r.hold_id = h.id WHERE h.id = $1",
);

const HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM hold h LEFT JOIN hold_resolution r ON r.hold_id = h.id \
     WHERE h.account = $1 AND h.entry_seq < $2 ORDER BY h.entry_seq DESC LIMIT $3",
);

/// The open ones are found first: in the order of entries, the planner would go over all that ever were.
const OPEN_HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM (SELECT * FROM hold WHERE account = $1 AND is_open OFFSET 0) AS h \
     LEFT JOIN hold_resolution r ON r.hold_id = h.id WHERE h.entry_seq < $2 ORDER BY h.entry_seq DESC LIMIT $3",
);

const USAGE: &str = concat!("SELECT ", usage_columns!(), " FROM usage u WHERE u.entry_seq = $1");

const USAGES: &str = concat!(
    "SELECT ",
    usage_columns!(),
    " FROM usage u WHERE u.account = $1 AND u.entry_seq < $2 AND ($4::text IS NULL OR u.feature = $4) \
     AND ($5::text IS NULL OR u.project = $5) ORDER BY u.entry_seq DESC LIMIT $3",
);

const USAGES_OF_SESSION: &str = concat!(
    "SELECT ",
    usage_columns!(),
    " FROM usage u WHERE u.account = $1 AND u.session = $6 AND u.entry_seq < $2 \
     AND ($4::text IS NULL OR u.feature = $4) AND ($5::text IS NULL OR u.project = $5) ORDER BY u.entry_seq DESC LIMIT $3",
);

const USAGE_DAYS: &str = "SELECT account, day, feature, project, spends, units, spent, refunded FROM usage_day \
     WHERE account = $1 AND day BETWEEN $2 AND $3 ORDER BY day, feature, project";

const USAGE_SESSIONS: &str = "SELECT session, COUNT(*) AS spends, \
         SUM(COALESCE((purpose::json ->> 'units')::bigint, 0))::bigint AS units, SUM(credits)::bigint AS spent, \
         SUM(refunded)::bigint AS refunded FROM usage \
     WHERE account = $1 AND counted_at >= $2 AND counted_at < $3 GROUP BY session ORDER BY session NULLS FIRST LIMIT $4";

const LIMITS: &str = concat!(
    "SELECT ",
    limit_columns!(),
    ", w.starts_at, w.ends_at, w.held, w.spent, w.alerted, w.told FROM usage_limit l \
     LEFT JOIN limit_window w ON w.limit_id = l.id AND w.ends_at > $2 AND w.starts_at <= $2 \
     WHERE l.account = $1 AND l.removed_at IS NULL ORDER BY l.id",
);

const PROFILE: &str = "SELECT account, zone, balance_alerts, told_credits, told_entry_seq, told_lot_index \
     FROM account_profile WHERE account = $1";

const LOT_CHANGES: &str = "SELECT m.entry_seq, m.lot_entry_seq, m.lot_index, m.from_bucket, m.to_bucket, m.credits, \
         e.kind, e.booked_at, e.facts \
     FROM lot_move m JOIN entry e ON e.seq = m.entry_seq \
     WHERE m.lot_entry_seq = $1 AND m.lot_index = $2 AND m.entry_seq > $3 \
     ORDER BY m.entry_seq, m.line LIMIT $4";

const DUE_HOLDS: &str =
    "SELECT id FROM hold WHERE is_open AND expires_at <= $1 ORDER BY expires_at LIMIT $2";

const DUE_WARNINGS: &str = "SELECT entry_seq, lot_index FROM lot \
     WHERE is_left AND NOT warned AND expires_at > $1 AND expires_at <= $2 \
     ORDER BY expires_at, entry_seq, lot_index LIMIT $3";

impl PostgresStore {
    async fn slices(
        &self,
        entries: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Vec<Slice>>, StoreError> {
        let single = self.paged("read slices");
        let rows = single.rows(sqlx::query(SLICES).bind(entries.collect::<Vec<_>>())).await?;
        let mut slices: HashMap<i64, Vec<Slice>> = HashMap::new();
        for (entry_seq, slice) in all(&rows, slice).map_err(wrong(single.act))? {
            slices.entry(entry_seq).or_default().push(slice);
        }
        Ok(slices)
    }

    async fn with_slices(&self, mut holds: Vec<Hold>) -> Result<Vec<Hold>, StoreError> {
        if holds.is_empty() {
            return Ok(holds);
        }
        let mut slices = self.slices(holds.iter().map(|hold| hold.entry_seq)).await?;
        for hold in &mut holds {
            hold.slices = slices.remove(&hold.entry_seq).unwrap_or_default();
        }
        Ok(holds)
    }

    async fn usages_with_slices(&self, mut usages: Vec<Usage>) -> Result<Vec<Usage>, StoreError> {
        if usages.is_empty() {
            return Ok(usages);
        }
        let mut slices = self.slices(usages.iter().map(|usage| usage.id.entry_seq)).await?;
        for usage in &mut usages {
            usage.slices = slices.remove(&usage.id.entry_seq).unwrap_or_default();
        }
        Ok(usages)
    }
}

#[async_trait]
impl CreditStore for PostgresStore {
    async fn lot(&self, id: LotId) -> Result<Option<Lot>, StoreError> {
        let single = self.paged("read a lot");
        let rows = single.rows(sqlx::query(LOT).bind(id.entry_seq).bind(id.index)).await?;
        all(&rows, codec::lot).map(|mut lots| lots.pop()).map_err(wrong(single.act))
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let single = self.paged("read a hold");
        let rows = single.rows(sqlx::query(HOLD).bind(id.uuid())).await?;
        let holds = all(&rows, hold).map_err(wrong(single.act))?;
        Ok(self.with_slices(holds).await?.pop())
    }

    async fn holds(
        &self,
        account: &AccountId,
        open_only: bool,
        page: Page,
    ) -> Result<Vec<Hold>, StoreError> {
        let single = self.paged("list holds");
        let query = sqlx::query(if open_only { OPEN_HOLDS } else { HOLDS })
            .bind(account.to_string())
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(i64::from(page.limit));
        let holds = all(&single.rows(query).await?, hold).map_err(wrong(single.act))?;
        self.with_slices(holds).await
    }

    async fn usage(&self, id: UsageId) -> Result<Option<Usage>, StoreError> {
        let single = self.paged("read a spend");
        let rows = single.rows(sqlx::query(USAGE).bind(id.entry_seq)).await?;
        let usages = all(&rows, usage).map_err(wrong(single.act))?;
        Ok(self.usages_with_slices(usages).await?.pop())
    }

    async fn usages(
        &self,
        account: &AccountId,
        filter: UsageFilter,
        page: Page,
    ) -> Result<Vec<Usage>, StoreError> {
        let single = self.paged("list spends");
        let text = |label: &Option<Label>| label.as_ref().map(ToString::to_string);
        let statement = if filter.session.is_some() {
            sqlx::query(USAGES_OF_SESSION)
        } else {
            sqlx::query(USAGES)
        };
        let mut query = statement
            .bind(account.to_string())
            .bind(page.after.unwrap_or(i64::MAX))
            .bind(i64::from(page.limit))
            .bind(text(&filter.feature))
            .bind(text(&filter.project));
        if filter.session.is_some() {
            query = query.bind(text(&filter.session));
        }
        let usages = all(&single.rows(query).await?, usage).map_err(wrong(single.act))?;
        self.usages_with_slices(usages).await
    }

    async fn usage_days(
        &self,
        account: &AccountId,
        from: Day,
        to: Day,
    ) -> Result<Vec<(UsageDay, UsageSums)>, StoreError> {
        let single = self.paged("read days of usage");
        let query =
            sqlx::query(USAGE_DAYS).bind(account.to_string()).bind(from.number()).bind(to.number());
        all(&single.rows(query).await?, usage_day).map_err(wrong(single.act))
    }

    async fn usage_sessions(
        &self,
        account: &AccountId,
        span: Span,
        limit: u32,
    ) -> Result<Vec<(Option<Label>, UsageSums)>, StoreError> {
        let single = self.paged("sum spends by session");
        let query = sqlx::query(USAGE_SESSIONS)
            .bind(account.to_string())
            .bind(span.start.micros())
            .bind(span.end.micros())
            .bind(i64::from(limit));
        let read = |row: &PgRow| {
            let fields = Fields(row);
            let session: Option<&str> = fields.get("session")?;
            let session =
                session.map(|name| name.parse().map_err(|error| corrupt("session", error)));
            Ok((session.transpose()?, usage_sums(fields)?))
        };
        all(&single.rows(query).await?, read).map_err(wrong(single.act))
    }

    async fn limits(
        &self,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Vec<(Limit, Option<WindowUse>)>, StoreError> {
        let single = self.paged("list limits");
        let query = sqlx::query(LIMITS).bind(account.to_string()).bind(now.micros());
        let read = |row: &PgRow| {
            let has_window = Fields(row).get::<Option<i64>>("starts_at")?.is_some();
            let used = if has_window { Some(window(row)?) } else { None };
            Ok((limit(row)?, used))
        };
        all(&single.rows(query).await?, read).map_err(wrong(single.act))
    }

    async fn profile(&self, account: &AccountId) -> Result<Profile, StoreError> {
        let single = self.paged("read a profile");
        let rows = single.rows(sqlx::query(PROFILE).bind(account.to_string())).await?;
        let known = all(&rows, profile).map_err(wrong(single.act))?.pop();
        Ok(known.unwrap_or_default())
    }

    async fn lot_changes(&self, lot: LotId, page: Page) -> Result<Vec<LotChange>, StoreError> {
        let single = self.paged("read what became of a lot");
        let query = sqlx::query(LOT_CHANGES)
            .bind(lot.entry_seq)
            .bind(lot.index)
            .bind(page.after.unwrap_or(0))
            .bind(i64::from(page.limit));
        all(&single.rows(query).await?, lot_change).map_err(wrong(single.act))
    }

    async fn credits_due(
        &self,
        now: Timestamp,
        warn_until: Timestamp,
        limit: u32,
    ) -> Result<CreditsDue, StoreError> {
        let single = self.paged("find credits that are due");
        let wrong = wrong(single.act);
        let holds = sqlx::query(DUE_HOLDS).bind(now.micros()).bind(i64::from(limit));
        let holds = all(&single.rows(holds).await?, |row| {
            Fields(row).get::<Uuid>("id").map(HoldId::from_uuid)
        })
        .map_err(&wrong)?;
        let single = self.paged("find lots to warn of");
        let warnings = sqlx::query(DUE_WARNINGS)
            .bind(now.micros())
            .bind(warn_until.micros())
            .bind(i64::from(limit));
        let warnings = all(&single.rows(warnings).await?, |row| {
            let fields = Fields(row);
            Ok(LotId { entry_seq: fields.get("entry_seq")?, index: fields.get("lot_index")? })
        });
        Ok(CreditsDue { holds, warnings: warnings.map_err(&wrong)? })
    }
}

fn usage_day(row: &PgRow) -> Read<(UsageDay, UsageSums)> {
    let fields = Fields(row);
    let project: &str = fields.get("project")?;
    let project = if project.is_empty() {
        None
    } else {
        Some(project.parse().map_err(|error| corrupt("project", error))?)
    };
    let day = Day::from_number(fields.get("day")?);
    let sums = usage_sums(fields)?;
    Ok(((fields.account("account")?, day, fields.parsed("feature")?, project), sums))
}

fn usage_sums(fields: Fields<'_>) -> Read<UsageSums> {
    Ok(UsageSums {
        spends: fields.get("spends")?,
        units: fields.get("units")?,
        spent: fields.credits("spent")?,
        refunded: fields.credits("refunded")?,
    })
}

fn lot_change(row: &PgRow) -> Read<LotChange> {
    let fields = Fields(row);
    let (entry_seq, moved) = codec::lot_move(row)?;
    Ok(LotChange {
        entry_seq,
        kind: fields.entry_kind("kind")?,
        booked_at: fields.time("booked_at")?,
        moved,
        facts: fields.get("facts")?,
    })
}
