//! What spending touches: holds, spends, limits and profiles, loaded and written with the rest of a batch.
//!
//! Nothing of it is asked for by a batch that spends nothing.

use std::collections::{BTreeSet, HashMap};

use inspay_ledger::{
    BatchRows, Hold, LedgerState, Limit, LimitAction, LimitScope, LimitWindow, Profile, Purpose,
    Resolution, ResolutionKind, Slice, Touches, Usage, UsageDay, UsageSums, WindowUse,
};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{AccountId, Credits, HoldId, LimitId, LotId, Span, Timestamp, UsageId};
use sqlx::{postgres::PgRow, types::Uuid};

use crate::{
    codec::{self, Fields, Read, all, corrupt, lot_columns},
    error::wrong,
    session::{Session, Statement},
};

/// The columns of a hold `h` with its resolution `r`.
macro_rules! hold_columns {
    () => {
        "h.id, h.entry_seq, h.account, h.purpose, h.credits, h.made_at, h.expires_at, r.kind AS ended_as, \
         r.captured, r.entry_seq AS ended_by, r.resolved_at"
    };
}
pub(crate) use hold_columns;

/// The columns of a spend `u`.
macro_rules! usage_columns {
    () => {
        "u.entry_seq, u.account, u.hold_id, u.purpose, u.credits, u.refunded, u.counted_at, u.booked_at"
    };
}
pub(crate) use usage_columns;

/// The columns of a limit `l`.
macro_rules! limit_columns {
    () => {
        "l.id, l.account, l.scope, l.scope_name, l.time_window, l.action, l.cap, l.alerts, l.set_at"
    };
}
pub(crate) use limit_columns;

/// Holds by their ids, the first value, and open ones of accounts, the second, that have run out by the third; each with
/// its slices in order.
macro_rules! select_holds {
    ($ids:literal, $accounts:literal, $due_by:literal) => {
        concat!(
            "SELECT ",
            $crate::spending::hold_columns!(),
            ", s.lot_entry_seqs, s.lot_indexes, s.slices FROM (SELECT found.* FROM UNNEST(",
            $ids,
            "::uuid[]) AS wanted(id) \
                     CROSS JOIN LATERAL (SELECT * FROM hold WHERE id = wanted.id OFFSET 0) AS found \
                 UNION ALL SELECT found.* FROM UNNEST(",
            $accounts,
            "::text[]) AS wanted(account) \
                     CROSS JOIN LATERAL (SELECT * FROM hold \
                         WHERE account = wanted.account AND is_open AND expires_at <= ",
            $due_by,
            " OFFSET 0) AS found) AS h \
             LEFT JOIN LATERAL (SELECT * FROM hold_resolution WHERE hold_id = h.id OFFSET 0) AS r ON TRUE \
             CROSS JOIN LATERAL (\
                 SELECT ARRAY_AGG(m.lot_entry_seq ORDER BY m.line) AS lot_entry_seqs, \
                     ARRAY_AGG(m.lot_index ORDER BY m.line) AS lot_indexes, \
                     ARRAY_AGG(m.credits ORDER BY m.line) AS slices \
                 FROM lot_move m WHERE m.entry_seq = h.entry_seq AND m.to_bucket = 'held') AS s"
        )
    };
}
pub(crate) use select_holds;

const HOLDS: &str = select_holds!("$1", "$2", "$3");

const USAGES: &str = concat!(
    "SELECT ",
    usage_columns!(),
    " FROM UNNEST($1::bigint[]) AS wanted(entry_seq) \
     CROSS JOIN LATERAL (SELECT * FROM usage WHERE entry_seq = wanted.entry_seq OFFSET 0) AS u",
);

/// A hold's entry only moves into holds, a spend's slices are what its entry moves into what is spent.
pub(crate) const SLICES: &str = "SELECT m.entry_seq, m.lot_entry_seq, m.lot_index, m.credits \
     FROM UNNEST($1::bigint[]) AS wanted(entry_seq) \
     CROSS JOIN LATERAL (SELECT * FROM lot_move WHERE entry_seq = wanted.entry_seq OFFSET 0) AS m \
     WHERE m.to_bucket IN ('held', 'spent') ORDER BY m.entry_seq, m.line";

/// Lots of slices, and all of accounts that have something left.
const LOTS: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM (SELECT found.* FROM UNNEST($1::bigint[], $2::smallint[]) AS wanted(entry_seq, lot_index) \
             CROSS JOIN LATERAL (SELECT * FROM lot \
                 WHERE entry_seq = wanted.entry_seq AND lot_index = wanted.lot_index OFFSET 0) AS found \
         UNION ALL SELECT found.* FROM UNNEST($3::text[]) AS wanted(account) \
             CROSS JOIN LATERAL (SELECT * FROM lot \
                 WHERE account = wanted.account AND is_left OFFSET 0) AS found) AS l",
);

/// Profiles of accounts, the first value, their limits in force, and those limits' windows that end after the second: one
/// row for each window, and one for a limit without, and for a profile without.
macro_rules! select_limits {
    ($accounts:literal, $since:literal) => {
        concat!(
            "SELECT wanted.account AS owner, p.zone, p.balance_alerts, p.told_credits, p.told_entry_seq, \
                 p.told_lot_index, l.id, l.scope, l.scope_name, l.time_window, l.action, l.cap, l.alerts, l.set_at, \
                 w.starts_at, w.ends_at, w.held, w.spent, w.alerted, w.told \
             FROM UNNEST(",
            $accounts,
            "::text[]) AS wanted(account) \
             LEFT JOIN LATERAL (SELECT * FROM account_profile WHERE account = wanted.account OFFSET 0) AS p ON TRUE \
             LEFT JOIN LATERAL (SELECT * FROM usage_limit \
                 WHERE account = wanted.account AND removed_at IS NULL OFFSET 0) AS l ON TRUE \
             LEFT JOIN LATERAL (SELECT * FROM limit_window \
                 WHERE limit_id = l.id AND ends_at > ",
            $since,
            " OFFSET 0) AS w ON TRUE \
             WHERE p.account IS NOT NULL OR l.id IS NOT NULL"
        )
    };
}
pub(crate) use select_limits;

const ACCOUNTS: &str = "SELECT a.id FROM UNNEST($1::text[]) AS wanted(id) \
     CROSS JOIN LATERAL (SELECT id FROM account WHERE id = wanted.id OFFSET 0) AS a";

const BASES: &str = "SELECT basis.place, \
         (SELECT COALESCE(SUM(h.credits), 0)::bigint FROM hold h \
         WHERE h.account = basis.account AND h.is_open AND h.made_at >= basis.since AND CASE basis.scope \
             WHEN 'feature' THEN h.feature = basis.name WHEN 'project' THEN h.project = basis.name \
             WHEN 'session' THEN h.session = basis.name ELSE TRUE END) AS held, \
         (SELECT COALESCE(SUM(u.credits - u.refunded), 0)::bigint FROM usage u \
         WHERE u.account = basis.account AND u.counted_at >= basis.since AND CASE basis.scope \
             WHEN 'feature' THEN u.feature = basis.name WHEN 'project' THEN u.project = basis.name \
             WHEN 'session' THEN u.session = basis.name ELSE TRUE END) AS spent \
     FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY \
         AS basis(account, scope, name, since, place)";

/// What was given back, after what was spent is written, which is never less.
const WRITE_REFUNDS: &str = "WITH refunds AS (\
         UPDATE usage u SET refunded = row.refunded FROM UNNEST($1::bigint[], $2::bigint[]) AS row(entry_seq, refunded) \
         WHERE u.entry_seq = row.entry_seq) \
     UPDATE usage_day d SET refunded = d.refunded + row.refunded \
     FROM UNNEST($3::text[], $4::integer[], $5::text[], $6::text[], $7::bigint[]) \
         AS row(account, day, feature, project, refunded) \
     WHERE d.account = row.account AND d.day = row.day AND d.feature = row.feature AND d.project = row.project";

const REMOVE_LIMITS: &str = "UPDATE usage_limit l SET removed_at = row.removed_at \
     FROM UNNEST($1::uuid[], $2::bigint[]) AS row(id, removed_at) WHERE l.id = row.id";

const NEW_LIMITS: &str = "INSERT INTO usage_limit (id, account, scope, scope_name, time_window, action, cap, alerts, \
         set_at, removed_at) \
     SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
         $8::text[], $9::bigint[], $10::bigint[])";

const NEW_PROFILES: &str = "WITH appeared AS (\
         INSERT INTO account (id, created_at) SELECT * FROM UNNEST($1::text[], $2::bigint[]) \
         ON CONFLICT (id) DO NOTHING) \
     INSERT INTO account_profile (account, zone, balance_alerts, told_credits, told_entry_seq, told_lot_index) \
     SELECT * FROM UNNEST($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::smallint[]) \
     ON CONFLICT (account) DO UPDATE SET zone = EXCLUDED.zone, balance_alerts = EXCLUDED.balance_alerts, \
         told_credits = EXCLUDED.told_credits, told_entry_seq = EXCLUDED.told_entry_seq, \
         told_lot_index = EXCLUDED.told_lot_index";

/// Binds what [`select_holds`] asks for, holds that run out until `due_by` among it.
pub(crate) fn bind_wanted_holds(
    statement: Statement<'static>,
    touches: &Touches,
    due_by: Timestamp,
) -> Statement<'static> {
    statement
        .bind(touches.holds.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .bind(touches.spenders.iter().map(AccountId::as_str).collect::<Vec<_>>())
        .bind(due_by.micros())
}

/// Loads holds and spends that are named, and holds of spenders that ran out; the spends' slices come with [`load`].
pub(crate) async fn load_named(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    if !touches.holds.is_empty() || !touches.spenders.is_empty() {
        let query = bind_wanted_holds(sqlx::query(HOLDS), touches, touches.due_by);
        let holds = all(&session.rows(query).await?, hold_with_slices).map_err(&wrong)?;
        state.holds.extend(holds.into_iter().map(|hold| (hold.id, hold)));
    }
    if !touches.usages.is_empty() {
        let ids: Vec<i64> = touches.usages.iter().map(|id| id.entry_seq).collect();
        let usages = all(&session.rows(sqlx::query(USAGES).bind(ids)).await?, usage);
        let usages = usages.map_err(&wrong)?;
        state.usages.extend(usages.into_iter().map(|usage| (usage.id, usage)));
    }
    Ok(())
}

/// Loads what the spenders have left, once orders, holds and spends are loaded.
pub(crate) async fn load(
    session: &mut Session,
    touches: &Touches,
    spenders: &BTreeSet<AccountId>,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let wrong = wrong(session.act);
    load_slices(session, state).await?;
    if !spenders.is_empty() {
        let accounts: Vec<&str> = spenders.iter().map(AccountId::as_str).collect();
        let lots: BTreeSet<LotId> = state.lots_of_slices().collect();
        let query = sqlx::query(LOTS)
            .bind(lots.iter().map(|lot| lot.entry_seq).collect::<Vec<_>>())
            .bind(lots.iter().map(|lot| lot.index).collect::<Vec<_>>())
            .bind(accounts);
        let lots = all(&session.rows(query).await?, codec::lot).map_err(&wrong)?;
        state.lots.extend(lots.into_iter().map(|lot| (lot.id, lot)));
    }
    if !touches.granted.is_empty() {
        let accounts: Vec<&str> = touches.granted.iter().map(AccountId::as_str).collect();
        let rows = session.rows(sqlx::query(ACCOUNTS).bind(accounts)).await?;
        let known = all(&rows, |row| Fields(row).account("id")).map_err(&wrong)?;
        state.accounts.extend(known);
    }
    load_bases(session, touches, state).await
}

async fn load_slices(session: &mut Session, state: &mut LedgerState) -> Result<(), StoreError> {
    let entries: Vec<i64> = state.usages.keys().map(|id| id.entry_seq).collect();
    if entries.is_empty() {
        return Ok(());
    }
    let rows = session.rows(sqlx::query(SLICES).bind(entries)).await?;
    let mut slices: HashMap<i64, Vec<Slice>> = HashMap::new();
    for (entry_seq, slice) in all(&rows, slice).map_err(wrong(session.act))? {
        slices.entry(entry_seq).or_default().push(slice);
    }
    for usage in state.usages.values_mut() {
        usage.slices = slices.remove(&usage.id.entry_seq).unwrap_or_default();
    }
    Ok(())
}

async fn load_bases(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    if touches.bases.is_empty() {
        return Ok(());
    }
    let wrong = wrong(session.act);
    let bases = || touches.bases.iter();
    let query = sqlx::query(BASES)
        .bind(bases().map(|basis| basis.account.as_str()).collect::<Vec<_>>())
        .bind(bases().map(|basis| basis.scope.kind()).collect::<Vec<_>>())
        .bind(bases().map(|basis| basis.scope.name()).collect::<Vec<_>>())
        .bind(bases().map(|basis| basis.from.micros()).collect::<Vec<_>>());
    for row in &session.rows(query).await? {
        let fields = Fields(row);
        let place: usize = fields.narrow("place").map_err(&wrong)?;
        let sums =
            (fields.credits("held").map_err(&wrong)?, fields.credits("spent").map_err(&wrong)?);
        let basis = place.checked_sub(1).and_then(|place| bases().nth(place));
        state.bases.extend(basis.map(|basis| (basis.limit, sums)));
    }
    Ok(())
}

/// Takes in a row of [`select_limits`].
pub(crate) fn take_limits(state: &mut LedgerState, row: &PgRow) -> Read<()> {
    let fields = Fields(row);
    if fields.get::<Option<&str>>("zone")?.is_some() {
        state.profiles.insert(fields.account("owner")?, profile(row)?);
    }
    if fields.get::<Option<Uuid>>("id")?.is_some() {
        let limit = limit_of(fields.account("owner")?, row)?;
        if fields.get::<Option<i64>>("starts_at")?.is_some() {
            let window = window(row)?;
            state.windows.insert((limit.id, window.span.start), window);
        }
        state.limits.insert(limit.id, limit);
    }
    Ok(())
}

/// Reads the columns of `hold_columns!`; its slices are read apart.
pub(crate) fn hold(row: &PgRow) -> Read<Hold> {
    let fields = Fields(row);
    let id = HoldId::from_uuid(fields.get("id")?);
    let resolution = match fields.optional_text("ended_as", ResolutionKind::parse)? {
        None => None,
        Some(kind) => Some(Resolution {
            hold: id,
            kind,
            captured: fields.credits("captured")?,
            entry_seq: fields.get("ended_by")?,
            resolved_at: fields.time("resolved_at")?,
        }),
    };
    Ok(Hold {
        id,
        account: fields.account("account")?,
        purpose: purpose(fields)?,
        credits: fields.credits("credits")?,
        made_at: fields.time("made_at")?,
        expires_at: fields.time("expires_at")?,
        entry_seq: fields.get("entry_seq")?,
        slices: Vec::new(),
        resolution,
    })
}

/// Reads a row of [`select_holds`].
pub(crate) fn hold_with_slices(row: &PgRow) -> Read<Hold> {
    let fields = Fields(row);
    let entries: Vec<i64> = fields.get::<Option<_>>("lot_entry_seqs")?.unwrap_or_default();
    let indexes: Vec<i16> = fields.get::<Option<_>>("lot_indexes")?.unwrap_or_default();
    let credits: Vec<i64> = fields.get::<Option<_>>("slices")?.unwrap_or_default();
    let slices =
        entries.into_iter().zip(indexes).zip(credits).map(|((entry_seq, index), credits)| Slice {
            lot: LotId { entry_seq, index },
            credits: Credits::from_micros(credits),
        });
    Ok(Hold { slices: slices.collect(), ..hold(row)? })
}

fn purpose(fields: Fields<'_>) -> Read<Purpose> {
    let text: &str = fields.get("purpose")?;
    serde_json::from_str(text).map_err(|error| corrupt("purpose", error))
}

/// Reads the columns of `usage_columns!`; its slices are read apart.
pub(crate) fn usage(row: &PgRow) -> Read<Usage> {
    let fields = Fields(row);
    Ok(Usage {
        id: UsageId { entry_seq: fields.get("entry_seq")? },
        account: fields.account("account")?,
        purpose: purpose(fields)?,
        hold: fields.get::<Option<Uuid>>("hold_id")?.map(HoldId::from_uuid),
        credits: fields.credits("credits")?,
        refunded: fields.credits("refunded")?,
        counted_at: fields.time("counted_at")?,
        booked_at: fields.time("booked_at")?,
        slices: Vec::new(),
    })
}

/// Reads a row of [`SLICES`].
pub(crate) fn slice(row: &PgRow) -> Read<(i64, Slice)> {
    let fields = Fields(row);
    let lot = LotId { entry_seq: fields.get("lot_entry_seq")?, index: fields.get("lot_index")? };
    Ok((fields.get("entry_seq")?, Slice { lot, credits: fields.credits("credits")? }))
}

/// Reads the columns of `account_profile`.
pub(crate) fn profile(row: &PgRow) -> Read<Profile> {
    let fields = Fields(row);
    let alerts: &str = fields.get("balance_alerts")?;
    let told = match fields.get::<Option<i64>>("told_credits")? {
        None => None,
        Some(credits) => Some((
            Credits::from_micros(credits),
            LotId {
                entry_seq: fields.get("told_entry_seq")?,
                index: fields.get("told_lot_index")?,
            },
        )),
    };
    Ok(Profile {
        zone: fields.parsed("zone")?,
        balance_alerts: serde_json::from_str(alerts)
            .map_err(|error| corrupt("balance_alerts", error))?,
        told,
    })
}

/// Reads the columns of `limit_columns!`.
pub(crate) fn limit(row: &PgRow) -> Read<Limit> {
    limit_of(Fields(row).account("account")?, row)
}

fn limit_of(account: AccountId, row: &PgRow) -> Read<Limit> {
    let fields = Fields(row);
    let (scope, name): (&str, &str) = (fields.get("scope")?, fields.get("scope_name")?);
    let alerts: &str = fields.get("alerts")?;
    Ok(Limit {
        id: LimitId::from_uuid(fields.get("id")?),
        account,
        scope: LimitScope::parse(scope, name).ok_or_else(|| corrupt("scope", scope))?,
        window: fields.text("time_window", LimitWindow::parse)?,
        action: fields.text("action", LimitAction::parse)?,
        cap: fields.credits("cap")?,
        alerts: serde_json::from_str(alerts).map_err(|error| corrupt("alerts", error))?,
        set_at: fields.time("set_at")?,
    })
}

/// Reads the columns of `limit_window`.
pub(crate) fn window(row: &PgRow) -> Read<WindowUse> {
    let fields = Fields(row);
    Ok(WindowUse {
        span: Span { start: fields.time("starts_at")?, end: fields.time("ends_at")? },
        held: fields.credits("held")?,
        spent: fields.credits("spent")?,
        alerted: u8::try_from(fields.get::<i16>("alerted")?)
            .map_err(|error| corrupt("alerted", error))?,
        told: fields.get("told")?,
    })
}

fn texts<'a>(
    act: &'static str,
    purposes: impl Iterator<Item = &'a Purpose>,
) -> Result<Vec<String>, StoreError> {
    purposes
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(act)(StoreErrorKind::Refused(error.to_string())))
}

/// Binds what holds, captures and spends bring, behind the journal's values.
pub(crate) fn bind(
    act: &'static str,
    statement: Statement<'static>,
    rows: &BatchRows,
) -> Result<Statement<'static>, StoreError> {
    let mut lines = Vec::new();
    let moves: Vec<_> = rows
        .entries
        .iter()
        .flat_map(|entry| {
            entry.moves.iter().enumerate().map(move |(line, part)| (entry, line, part))
        })
        .collect();
    for (entry, line, _) in &moves {
        lines.push(crate::write::line(act, entry, *line)?);
    }
    let new: BTreeSet<HoldId> = rows.holds.iter().map(|hold| hold.id).collect();
    let ended = rows.resolutions.iter().map(|it| it.hold).filter(|id| !new.contains(id));
    let (holds, ends, usages) = (&rows.holds, &rows.resolutions, &rows.usages);
    let of_holds = texts(act, holds.iter().map(|hold| &hold.purpose))?;
    let of_usages = texts(act, usages.iter().map(|usage| &usage.purpose))?;
    let days = || rows.usage_days.iter().filter(|day| day.1.spends > 0);
    let windows = &rows.windows;
    Ok(statement
        .bind(moves.iter().map(|(entry, ..)| entry.seq).collect::<Vec<_>>())
        .bind(lines)
        .bind(moves.iter().map(|(.., part)| part.lot.entry_seq).collect::<Vec<_>>())
        .bind(moves.iter().map(|(.., part)| part.lot.index).collect::<Vec<_>>())
        .bind(moves.iter().map(|(.., part)| part.from.as_str()).collect::<Vec<_>>())
        .bind(moves.iter().map(|(.., part)| part.to.as_str()).collect::<Vec<_>>())
        .bind(moves.iter().map(|(.., part)| part.credits.micros()).collect::<Vec<_>>())
        .bind(ended.map(HoldId::uuid).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.id.uuid()).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.entry_seq).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.account.as_str()).collect::<Vec<_>>())
        .bind(of_holds)
        .bind(holds.iter().map(|hold| hold.credits.micros()).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.made_at.micros()).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.expires_at.micros()).collect::<Vec<_>>())
        .bind(holds.iter().map(|hold| hold.resolution.is_none()).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.hold.uuid()).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.kind.as_str()).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.captured.micros()).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.entry_seq).collect::<Vec<_>>())
        .bind(ends.iter().map(|end| end.resolved_at.micros()).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.id.entry_seq).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.account.as_str()).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.hold.map(HoldId::uuid)).collect::<Vec<_>>())
        .bind(of_usages)
        .bind(usages.iter().map(|usage| usage.credits.micros()).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.refunded.micros()).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.counted_at.micros()).collect::<Vec<_>>())
        .bind(usages.iter().map(|usage| usage.booked_at.micros()).collect::<Vec<_>>())
        .bind(days().map(|((account, ..), _)| account.as_str()).collect::<Vec<_>>())
        .bind(days().map(|((_, day, ..), _)| day.number()).collect::<Vec<_>>())
        .bind(days().map(|((_, _, feature, _), _)| feature.as_str()).collect::<Vec<_>>())
        .bind(days().map(|(day, _)| project(day)).collect::<Vec<_>>())
        .bind(days().map(|(_, sums)| sums.spends).collect::<Vec<_>>())
        .bind(days().map(|(_, sums)| sums.units).collect::<Vec<_>>())
        .bind(days().map(|(_, sums)| sums.spent.micros()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| window.span.start.micros()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| window.span.end.micros()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| window.held.micros()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| window.spent.micros()).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| i16::from(window.alerted)).collect::<Vec<_>>())
        .bind(windows.iter().map(|(_, window)| window.told).collect::<Vec<_>>()))
}

fn project((_, _, _, project): &UsageDay) -> &str {
    project.as_ref().map_or("", |project| project.as_str())
}

fn refunded_days(rows: &BatchRows) -> impl Iterator<Item = &(UsageDay, UsageSums)> {
    rows.usage_days.iter().filter(|day| day.1.refunded > Credits::ZERO)
}

/// Whether anything of spends was given back.
pub(crate) fn has_refunds(rows: &BatchRows) -> bool {
    !rows.refunds.is_empty() || refunded_days(rows).next().is_some()
}

/// Writes what was given back.
pub(crate) async fn write_refunds(
    session: &mut Session,
    rows: &BatchRows,
) -> Result<(), StoreError> {
    if !has_refunds(rows) {
        return Ok(());
    }
    let days: Vec<_> = refunded_days(rows).collect();
    let query = sqlx::query(WRITE_REFUNDS)
        .bind(rows.refunds.iter().map(|(id, _)| id.entry_seq).collect::<Vec<_>>())
        .bind(rows.refunds.iter().map(|(_, refunded)| refunded.micros()).collect::<Vec<_>>())
        .bind(days.iter().map(|((account, ..), _)| account.as_str()).collect::<Vec<_>>())
        .bind(days.iter().map(|((_, day, ..), _)| day.number()).collect::<Vec<_>>())
        .bind(days.iter().map(|((_, _, feature, _), _)| feature.as_str()).collect::<Vec<_>>())
        .bind(days.iter().map(|(day, _)| project(day)).collect::<Vec<_>>())
        .bind(days.iter().map(|(_, sums)| sums.refunded.micros()).collect::<Vec<_>>());
    session.run(query).await.map(drop)
}

/// Removes before it adds, since one of a scope, window and action is in force at a time.
pub(crate) async fn write_limits(
    session: &mut Session,
    rows: &BatchRows,
) -> Result<(), StoreError> {
    let gone: HashMap<LimitId, Timestamp> = rows.limits_removed.iter().copied().collect();
    if !gone.is_empty() {
        let query = sqlx::query(REMOVE_LIMITS)
            .bind(gone.keys().map(|id| id.uuid()).collect::<Vec<_>>())
            .bind(gone.values().map(|at| at.micros()).collect::<Vec<_>>());
        session.run(query).await?;
    }
    if rows.limits.is_empty() {
        return Ok(());
    }
    let limits = &rows.limits;
    let alerts = limits.iter().map(|limit| {
        let alerts: Vec<String> = limit.alerts.iter().map(u8::to_string).collect();
        format!("[{}]", alerts.join(","))
    });
    let removed = limits.iter().map(|limit| gone.get(&limit.id).map(|at| at.micros()));
    let query = sqlx::query(NEW_LIMITS)
        .bind(limits.iter().map(|limit| limit.id.uuid()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.account.as_str()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.scope.kind()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.scope.name()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.window.as_str()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.action.as_str()).collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.cap.micros()).collect::<Vec<_>>())
        .bind(alerts.collect::<Vec<_>>())
        .bind(limits.iter().map(|limit| limit.set_at.micros()).collect::<Vec<_>>())
        .bind(removed.collect::<Vec<_>>());
    session.run(query).await.map(drop)
}

/// Writes accounts that appear and what they have set.
pub(crate) async fn write_profiles(
    session: &mut Session,
    rows: &BatchRows,
) -> Result<(), StoreError> {
    let (act, profiles) = (session.act, &rows.profiles);
    if profiles.is_empty() && rows.accounts.is_empty() {
        return Ok(());
    }
    let alerts: Vec<String> = profiles
        .iter()
        .map(|(_, profile)| serde_json::to_string(&profile.balance_alerts))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(act)(StoreErrorKind::Refused(error.to_string())))?;
    let told = |profile: &Profile| profile.told.map(|(_, lot)| lot);
    let query = sqlx::query(NEW_PROFILES)
        .bind(rows.accounts.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        .bind(rows.accounts.iter().map(|(_, at)| at.micros()).collect::<Vec<_>>())
        .bind(profiles.iter().map(|(account, _)| account.as_str()).collect::<Vec<_>>())
        .bind(profiles.iter().map(|(_, profile)| profile.zone.name()).collect::<Vec<_>>())
        .bind(alerts)
        .bind(
            profiles
                .iter()
                .map(|(_, profile)| profile.told.map(|(credits, _)| credits.micros()))
                .collect::<Vec<_>>(),
        )
        .bind(profiles.iter().map(|(_, it)| told(it).map(|lot| lot.entry_seq)).collect::<Vec<_>>())
        .bind(profiles.iter().map(|(_, it)| told(it).map(|lot| lot.index)).collect::<Vec<_>>());
    session.run(query).await.map(drop)
}
