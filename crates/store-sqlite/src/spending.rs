//! What spending touches: holds, spends, limits and profiles, loaded and written with the rest of a batch.
//!
//! Nothing of it is asked for by a batch that spends nothing.

use std::collections::{BTreeSet, HashMap};

use inspay_ledger::{
    BatchRows, Hold, LedgerState, Limit, LimitAction, LimitBasis, LimitScope, LimitWindow, LotMove,
    LotParts, Profile, Purpose, Remembered, Resolution, ResolutionKind, Slice, Touches, Usage,
    UsageDay, UsageSums, WindowUse,
};
use inspay_ports::{StoreError, StoreErrorKind};
use inspay_primitives::{AccountId, Credits, HoldId, LimitId, LotId, Span, Timestamp, UsageId};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::{
    bulk::{Bulk, Row},
    codec::{self, Fields, Read, corrupt, lot_columns},
    columns::{hex_list, json_list},
    error::wrong,
    script::Script,
    session::Session,
    write::change,
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

const HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN hold h ON h.id = unhex(wanted.value) \
     LEFT JOIN hold_resolution r ON r.hold_id = h.id",
);

const DUE_HOLDS: &str = concat!(
    "SELECT ",
    hold_columns!(),
    " FROM json_each(?) AS wanted \
     CROSS JOIN hold h ON h.account = wanted.value AND h.is_open = 1 AND h.expires_at <= ? \
     LEFT JOIN hold_resolution r ON r.hold_id = h.id",
);

const USAGES: &str = concat!(
    "SELECT ",
    usage_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN usage u ON u.entry_seq = wanted.value",
);

/// A hold's entry only moves into holds, a spend's slices are what its entry moves into what is spent.
pub(crate) const SLICES: &str = "SELECT m.entry_seq, m.lot_entry_seq, m.lot_index, m.credits \
     FROM json_each(?) AS wanted CROSS JOIN lot_move m ON m.entry_seq = wanted.value \
     WHERE m.to_bucket IN ('held', 'spent') ORDER BY m.entry_seq, m.line";

const LOTS_OF_SLICES: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN lot_move m ON m.entry_seq = wanted.value \
     CROSS JOIN lot l ON l.entry_seq = m.lot_entry_seq AND l.lot_index = m.lot_index",
);

const LOTS_OF_ACCOUNTS: &str = concat!(
    "SELECT ",
    lot_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN lot l ON l.account = wanted.value AND l.credits_left > 0",
);

const PROFILES: &str = "SELECT p.account, p.zone, p.balance_alerts, p.told_credits, p.told_entry_seq, p.told_lot_index \
     FROM json_each(?) AS wanted CROSS JOIN account_profile p ON p.account = wanted.value";

const LIMITS: &str = concat!(
    "SELECT ",
    limit_columns!(),
    " FROM json_each(?) AS wanted \
     CROSS JOIN usage_limit l ON l.account = wanted.value AND l.removed_at IS NULL",
);

const WINDOWS: &str = "SELECT w.limit_id, w.starts_at, w.ends_at, w.held, w.spent, w.alerted, w.told \
     FROM json_each(?) AS wanted \
     CROSS JOIN usage_limit l ON l.account = wanted.value AND l.removed_at IS NULL \
     CROSS JOIN limit_window w ON w.limit_id = l.id AND w.ends_at > ?";

const ACCOUNTS: &str =
    "SELECT a.id FROM json_each(?) AS wanted CROSS JOIN account a ON a.id = wanted.value";

const BASIS: &str = "WITH basis (scope, name, since, account) AS (VALUES (?, ?, ?, ?)) \
     SELECT (SELECT COALESCE(SUM(h.credits), 0) FROM hold h \
         WHERE h.account = basis.account AND h.is_open = 1 AND h.made_at >= basis.since AND CASE basis.scope \
             WHEN 'feature' THEN h.feature = basis.name WHEN 'project' THEN h.project = basis.name \
             WHEN 'session' THEN h.session = basis.name ELSE 1 END) AS held, \
         (SELECT COALESCE(SUM(u.credits - u.refunded), 0) FROM usage u \
         WHERE u.account = basis.account AND u.counted_at >= basis.since AND CASE basis.scope \
             WHEN 'feature' THEN u.feature = basis.name WHEN 'project' THEN u.project = basis.name \
             WHEN 'session' THEN u.session = basis.name ELSE 1 END) AS spent \
     FROM basis";

const LOT_MOVES: Bulk = Bulk {
    before: "INSERT INTO lot_move (entry_seq, line, lot_entry_seq, lot_index, from_bucket, to_bucket, credits) VALUES ",
    columns: 7,
    after: "",
};

const NEW_HOLDS: Bulk = Bulk {
    before: "INSERT INTO hold (id, entry_seq, account, purpose, credits, made_at, expires_at, is_open) VALUES ",
    columns: 8,
    after: "",
};

const ENDED_HOLDS: Bulk = Bulk {
    before: "WITH ended (id) AS (VALUES ",
    columns: 1,
    after: ") UPDATE hold SET is_open = 0 FROM ended WHERE hold.id = ended.id",
};

const RESOLUTIONS: Bulk = Bulk {
    before: "INSERT INTO hold_resolution (hold_id, kind, captured, entry_seq, resolved_at) VALUES ",
    columns: 5,
    after: "",
};

const NEW_USAGES: Bulk = Bulk {
    before: "INSERT INTO usage (entry_seq, account, hold_id, purpose, credits, refunded, counted_at, booked_at) VALUES ",
    columns: 8,
    after: "",
};

const REFUNDS: Bulk = Bulk {
    before: "WITH back (entry_seq, refunded) AS (VALUES ",
    columns: 2,
    after: ") UPDATE usage SET refunded = back.refunded FROM back WHERE usage.entry_seq = back.entry_seq",
};

const USAGE_DAYS: Bulk = Bulk {
    before: "INSERT INTO usage_day (account, day, feature, project, spends, units, spent) VALUES ",
    columns: 7,
    after: " ON CONFLICT (account, day, feature, project) DO UPDATE SET spends = spends + excluded.spends, \
        units = units + excluded.units, spent = spent + excluded.spent",
};

/// Written after what was spent, which is never less.
const REFUNDED_DAYS: Bulk = Bulk {
    before: "WITH back (account, day, feature, project, refunded) AS (VALUES ",
    columns: 5,
    after: ") UPDATE usage_day SET refunded = usage_day.refunded + back.refunded FROM back \
        WHERE usage_day.account = back.account AND usage_day.day = back.day \
        AND usage_day.feature = back.feature AND usage_day.project = back.project",
};

const REMOVED_LIMITS: Bulk = Bulk {
    before: "WITH gone (id, removed_at) AS (VALUES ",
    columns: 2,
    after: ") UPDATE usage_limit SET removed_at = gone.removed_at FROM gone WHERE usage_limit.id = gone.id",
};

const NEW_LIMITS: Bulk = Bulk {
    before: "INSERT INTO usage_limit (id, account, scope, scope_name, time_window, action, cap, alerts, set_at, \
        removed_at) VALUES ",
    columns: 10,
    after: "",
};

const LIMIT_WINDOWS: Bulk = Bulk {
    before: "INSERT INTO limit_window (limit_id, starts_at, ends_at, held, spent, alerted, told) VALUES ",
    columns: 7,
    after: " ON CONFLICT (limit_id, starts_at) DO UPDATE SET held = excluded.held, spent = excluded.spent, \
        alerted = excluded.alerted, told = excluded.told",
};

const NEW_ACCOUNTS: Bulk =
    Bulk { before: "INSERT INTO account (id, created_at) VALUES ", columns: 2, after: "" };

const NEW_PROFILES: Bulk = Bulk {
    before: "INSERT INTO account_profile (account, zone, balance_alerts, told_credits, told_entry_seq, told_lot_index) \
        VALUES ",
    columns: 6,
    after: " ON CONFLICT (account) DO UPDATE SET zone = excluded.zone, balance_alerts = excluded.balance_alerts, \
        told_credits = excluded.told_credits, told_entry_seq = excluded.told_entry_seq, \
        told_lot_index = excluded.told_lot_index",
};

/// A list of names as one JSON text.
pub(crate) fn name_list<'a>(accounts: impl IntoIterator<Item = &'a AccountId>) -> String {
    json_list(accounts.into_iter().map(|account| Value::from(account.as_str())).collect())
}

/// A list of entry numbers as one JSON text.
pub(crate) fn number_list(numbers: impl IntoIterator<Item = i64>) -> String {
    json_list(numbers.into_iter().map(Value::from).collect())
}

/// Adds the reads of what is named outright; [`take_named`] takes what they find.
pub(crate) fn read_named(script: &mut Script, touches: &Touches) -> Vec<Named> {
    let mut parts = Vec::new();
    if !touches.holds.is_empty() {
        script.add(HOLDS, |row| {
            row.put(hex_list(touches.holds.iter().map(|id| id.uuid().into_bytes())));
        });
        parts.push(Named::Hold);
    }
    if !touches.spenders.is_empty() {
        script.add(DUE_HOLDS, |row| {
            row.put(name_list(&touches.spenders)).put(Remembered::due_by(touches).micros());
        });
        parts.push(Named::Hold);
    }
    if !touches.usages.is_empty() {
        script.add(USAGES, |row| {
            row.put(number_list(touches.usages.iter().map(|id| id.entry_seq)));
        });
        parts.push(Named::Usage);
    }
    parts
}

/// What a statement of [`read_named`] finds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    Hold,
    Usage,
}

pub(crate) fn take_named(state: &mut LedgerState, part: Named, row: &SqliteRow) -> Read<()> {
    match part {
        Named::Hold => {
            let hold = hold(row)?;
            state.holds.insert(hold.id, hold);
        }
        Named::Usage => {
            let usage = usage(row)?;
            state.usages.insert(usage.id, usage);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Slice,
    Lot,
    Profile,
    Limit,
    Window,
    Account,
    Basis(usize),
}

/// Loads what the spenders have, once orders, holds and spends are loaded.
pub(crate) async fn load(
    session: &mut Session,
    touches: &Touches,
    state: &mut LedgerState,
) -> Result<(), StoreError> {
    let spenders = state.spenders(touches);
    let bases: Vec<&LimitBasis> = touches.bases.iter().collect();
    let (script, parts) = script(touches, state, &spenders, &bases);
    if parts.is_empty() {
        return Ok(());
    }
    let mut slices: HashMap<i64, Vec<Slice>> = HashMap::new();
    let take = |statement: usize, row: &SqliteRow| {
        let unknown = || corrupt("statement", statement);
        match parts.get(statement).copied().ok_or_else(unknown)? {
            Part::Slice => {
                let (entry_seq, slice) = slice(row)?;
                slices.entry(entry_seq).or_default().push(slice);
            }
            Part::Lot => {
                let lot = codec::lot(row)?;
                state.lots.insert(lot.id, lot);
            }
            Part::Profile => state.profiles.extend([profile(row)?]),
            Part::Limit => {
                let limit = limit(row)?;
                state.limits.insert(limit.id, limit);
            }
            Part::Window => {
                let (limit, window) = window(row)?;
                state.windows.insert((limit, window.span.start), window);
            }
            Part::Account => {
                state.accounts.insert(Fields(row).account("id")?);
            }
            Part::Basis(place) => {
                let fields = Fields(row);
                let sums = (fields.credits("held")?, fields.credits("spent")?);
                state.bases.extend(bases.get(place).map(|basis| (basis.limit, sums)));
            }
        }
        Ok(())
    };
    session.read_script(script, take).await?;
    for hold in state.holds.values_mut() {
        hold.slices = slices.remove(&hold.entry_seq).unwrap_or_default();
    }
    for usage in state.usages.values_mut() {
        usage.slices = slices.remove(&usage.id.entry_seq).unwrap_or_default();
    }
    Ok(())
}

fn script(
    touches: &Touches,
    state: &LedgerState,
    spenders: &BTreeSet<AccountId>,
    bases: &[&LimitBasis],
) -> (Script, Vec<Part>) {
    let (mut script, mut parts) = (Script::default(), Vec::new());
    let entries = state.holds.values().map(|hold| hold.entry_seq);
    let entries: Vec<i64> = entries.chain(state.usages.keys().map(|id| id.entry_seq)).collect();
    if !entries.is_empty() {
        let list = number_list(entries);
        script.add(SLICES, |row| {
            row.put(list.clone());
        });
        script.add(LOTS_OF_SLICES, |row| {
            row.put(list);
        });
        parts.extend([Part::Slice, Part::Lot]);
    }
    if !spenders.is_empty() {
        let names = name_list(spenders);
        for (statement, part) in
            [(LOTS_OF_ACCOUNTS, Part::Lot), (PROFILES, Part::Profile), (LIMITS, Part::Limit)]
        {
            script.add(statement, |row| {
                row.put(names.clone());
            });
            parts.push(part);
        }
        script.add(WINDOWS, |row| {
            row.put(names).put(state.windows_since(touches).micros());
        });
        parts.push(Part::Window);
    }
    if !touches.granted.is_empty() {
        script.add(ACCOUNTS, |row| {
            row.put(name_list(&touches.granted));
        });
        parts.push(Part::Account);
    }
    for (place, basis) in bases.iter().enumerate() {
        script.add(BASIS, |row| {
            row.put(basis.scope.kind())
                .put(basis.scope.name().to_owned())
                .put(basis.from.micros())
                .put(basis.account.as_str().to_owned());
        });
        parts.push(Part::Basis(place));
    }
    (script, parts)
}

/// Reads the columns of `hold_columns!`; its slices are read apart.
pub(crate) fn hold(row: &SqliteRow) -> Read<Hold> {
    let fields = Fields(row);
    let id = HoldId::from_uuid(fields.uuid("id")?);
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

fn purpose(fields: Fields<'_>) -> Read<Purpose> {
    let text: &str = fields.get("purpose")?;
    serde_json::from_str(text).map_err(|error| corrupt("purpose", error))
}

/// Reads the columns of `usage_columns!`; its slices are read apart.
pub(crate) fn usage(row: &SqliteRow) -> Read<Usage> {
    let fields = Fields(row);
    Ok(Usage {
        id: UsageId { entry_seq: fields.get("entry_seq")? },
        account: fields.account("account")?,
        purpose: purpose(fields)?,
        hold: fields.optional_uuid("hold_id")?.map(HoldId::from_uuid),
        credits: fields.credits("credits")?,
        refunded: fields.credits("refunded")?,
        counted_at: fields.time("counted_at")?,
        booked_at: fields.time("booked_at")?,
        slices: Vec::new(),
    })
}

/// Reads a row of [`SLICES`].
pub(crate) fn slice(row: &SqliteRow) -> Read<(i64, Slice)> {
    let fields = Fields(row);
    let lot = LotId { entry_seq: fields.get("lot_entry_seq")?, index: fields.get("lot_index")? };
    Ok((fields.get("entry_seq")?, Slice { lot, credits: fields.credits("credits")? }))
}

/// Reads a row of `account_profile`.
pub(crate) fn profile(row: &SqliteRow) -> Read<(AccountId, Profile)> {
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
    let profile = Profile {
        zone: fields.parsed("zone")?,
        balance_alerts: serde_json::from_str(alerts)
            .map_err(|error| corrupt("balance_alerts", error))?,
        told,
    };
    Ok((fields.account("account")?, profile))
}

/// Reads the columns of `limit_columns!`.
pub(crate) fn limit(row: &SqliteRow) -> Read<Limit> {
    let fields = Fields(row);
    let (scope, name): (&str, &str) = (fields.get("scope")?, fields.get("scope_name")?);
    let alerts: &str = fields.get("alerts")?;
    Ok(Limit {
        id: LimitId::from_uuid(fields.uuid("id")?),
        account: fields.account("account")?,
        scope: LimitScope::parse(scope, name).ok_or_else(|| corrupt("scope", scope))?,
        window: fields.text("time_window", LimitWindow::parse)?,
        action: fields.text("action", LimitAction::parse)?,
        cap: fields.credits("cap")?,
        alerts: serde_json::from_str(alerts).map_err(|error| corrupt("alerts", error))?,
        set_at: fields.time("set_at")?,
    })
}

/// Reads a row of `limit_window`.
pub(crate) fn window(row: &SqliteRow) -> Read<(LimitId, WindowUse)> {
    let fields = Fields(row);
    let window = WindowUse {
        span: Span { start: fields.time("starts_at")?, end: fields.time("ends_at")? },
        held: fields.credits("held")?,
        spent: fields.credits("spent")?,
        alerted: fields.narrow("alerted")?,
        told: fields.get("told")?,
    };
    Ok((LimitId::from_uuid(fields.uuid("limit_id")?), window))
}

/// A move with its entry and its place there.
type Move<'a> = (i64, i16, &'a LotMove);

/// What is written besides the journal, in an order that the tables' checks allow.
struct Writes<'a> {
    moves: Vec<Move<'a>>,
    holds: Vec<(&'a Hold, String)>,
    ended: Vec<HoldId>,
    usages: Vec<(&'a Usage, String)>,
    days: Vec<&'a (UsageDay, UsageSums)>,
    refunded_days: Vec<&'a (UsageDay, UsageSums)>,
    limits: Vec<(&'a Limit, Option<Timestamp>)>,
    removed: Vec<(LimitId, Timestamp)>,
}

impl<'a> Writes<'a> {
    fn new(rows: &'a BatchRows) -> Result<Self, StoreErrorKind> {
        let mut moves = Vec::new();
        for entry in &rows.entries {
            for (line, part) in entry.moves.iter().enumerate() {
                let line = i16::try_from(line).map_err(|_| {
                    let why = format!("entry {} has more moves than can be numbered", entry.seq);
                    StoreErrorKind::Refused(why)
                })?;
                moves.push((entry.seq, line, part));
            }
        }
        let text = |purpose: &Purpose| {
            serde_json::to_string(purpose)
                .map_err(|error| StoreErrorKind::Refused(error.to_string()))
        };
        let new: BTreeSet<HoldId> = rows.holds.iter().map(|hold| hold.id).collect();
        let new_limits: BTreeSet<LimitId> = rows.limits.iter().map(|limit| limit.id).collect();
        let gone: HashMap<LimitId, Timestamp> = rows.limits_removed.iter().copied().collect();
        let ended = rows.resolutions.iter().map(|resolution| resolution.hold);
        Ok(Self {
            moves,
            holds: rows
                .holds
                .iter()
                .map(|hold| Ok((hold, text(&hold.purpose)?)))
                .collect::<Result<_, StoreErrorKind>>()?,
            ended: ended.filter(|id| !new.contains(id)).collect(),
            usages: rows
                .usages
                .iter()
                .map(|usage| Ok((usage, text(&usage.purpose)?)))
                .collect::<Result<_, StoreErrorKind>>()?,
            days: rows.usage_days.iter().filter(|day| day.1.spends > 0).collect(),
            refunded_days: rows
                .usage_days
                .iter()
                .filter(|day| day.1.refunded > Credits::ZERO)
                .collect(),
            limits: rows.limits.iter().map(|it| (it, gone.get(&it.id).copied())).collect(),
            removed: rows
                .limits_removed
                .iter()
                .filter(|(id, _)| !new_limits.contains(id))
                .copied()
                .collect(),
        })
    }
}

/// Adds the writes of a small batch.
pub(crate) fn add_writes(script: &mut Script, rows: &BatchRows) -> Result<(), StoreErrorKind> {
    let writes = Writes::new(rows)?;
    script.bulk(&LOT_MOVES, &writes.moves, lot_move);
    script.bulk(&NEW_HOLDS, &writes.holds, new_hold);
    script.bulk(&ENDED_HOLDS, &writes.ended, ended_hold);
    script.bulk(&RESOLUTIONS, &rows.resolutions, resolution);
    script.bulk(&NEW_USAGES, &writes.usages, new_usage);
    script.bulk(&REFUNDS, &rows.refunds, refund);
    script.bulk(&USAGE_DAYS, &writes.days, usage_day);
    script.bulk(&REFUNDED_DAYS, &writes.refunded_days, refunded_day);
    script.bulk(&REMOVED_LIMITS, &writes.removed, removed_limit);
    script.bulk(&NEW_LIMITS, &writes.limits, new_limit);
    script.bulk(&LIMIT_WINDOWS, &rows.windows, limit_window);
    script.bulk(&NEW_ACCOUNTS, &rows.accounts, new_account);
    script.bulk(&NEW_PROFILES, &rows.profiles, new_profile);
    Ok(())
}

/// Writes what spending changed, of a batch of any size.
pub(crate) async fn write(session: &mut Session, rows: &BatchRows) -> Result<(), StoreError> {
    let writes = Writes::new(rows).map_err(wrong(session.act))?;
    session.bulk(&LOT_MOVES, &writes.moves, lot_move).await?;
    session.bulk(&NEW_HOLDS, &writes.holds, new_hold).await?;
    change(session, &ENDED_HOLDS, &writes.ended, ended_hold).await?;
    session.bulk(&RESOLUTIONS, &rows.resolutions, resolution).await?;
    session.bulk(&NEW_USAGES, &writes.usages, new_usage).await?;
    change(session, &REFUNDS, &rows.refunds, refund).await?;
    session.bulk(&USAGE_DAYS, &writes.days, usage_day).await?;
    change(session, &REFUNDED_DAYS, &writes.refunded_days, refunded_day).await?;
    change(session, &REMOVED_LIMITS, &writes.removed, removed_limit).await?;
    session.bulk(&NEW_LIMITS, &writes.limits, new_limit).await?;
    session.bulk(&LIMIT_WINDOWS, &rows.windows, limit_window).await?;
    session.bulk(&NEW_ACCOUNTS, &rows.accounts, new_account).await?;
    session.bulk(&NEW_PROFILES, &rows.profiles, new_profile).await.map(drop)
}

fn lot_move((entry_seq, line, part): &Move<'_>, row: &mut Row) {
    row.put(*entry_seq)
        .put(*line)
        .put(part.lot.entry_seq)
        .put(part.lot.index)
        .put(part.from.as_str())
        .put(part.to.as_str())
        .put(part.credits.micros());
}

fn new_hold((hold, purpose): &(&Hold, String), row: &mut Row) {
    row.put(hold.id.uuid())
        .put(hold.entry_seq)
        .put(hold.account.as_str())
        .put(purpose.as_str())
        .put(hold.credits.micros())
        .put(hold.made_at.micros())
        .put(hold.expires_at.micros())
        .put(hold.resolution.is_none());
}

fn ended_hold(id: &HoldId, row: &mut Row) {
    row.put(id.uuid());
}

fn resolution(resolution: &Resolution, row: &mut Row) {
    row.put(resolution.hold.uuid())
        .put(resolution.kind.as_str())
        .put(resolution.captured.micros())
        .put(resolution.entry_seq)
        .put(resolution.resolved_at.micros());
}

fn new_usage((usage, purpose): &(&Usage, String), row: &mut Row) {
    row.put(usage.id.entry_seq)
        .put(usage.account.as_str())
        .put(usage.hold.map(HoldId::uuid))
        .put(purpose.as_str())
        .put(usage.credits.micros())
        .put(usage.refunded.micros())
        .put(usage.counted_at.micros())
        .put(usage.booked_at.micros());
}

fn refund((id, refunded): &(UsageId, Credits), row: &mut Row) {
    row.put(id.entry_seq).put(refunded.micros());
}

fn usage_day(((account, day, feature, project), sums): &&(UsageDay, UsageSums), row: &mut Row) {
    row.put(account.as_str())
        .put(day.number())
        .put(feature.as_str())
        .put(project.as_ref().map_or("", |project| project.as_str()))
        .put(sums.spends)
        .put(sums.units)
        .put(sums.spent.micros());
}

fn refunded_day(((account, day, feature, project), sums): &&(UsageDay, UsageSums), row: &mut Row) {
    row.put(account.as_str())
        .put(day.number())
        .put(feature.as_str())
        .put(project.as_ref().map_or("", |project| project.as_str()))
        .put(sums.refunded.micros());
}

fn removed_limit((id, at): &(LimitId, Timestamp), row: &mut Row) {
    row.put(id.uuid()).put(at.micros());
}

fn new_limit((limit, removed_at): &(&Limit, Option<Timestamp>), row: &mut Row) {
    let alerts = limit.alerts.iter().copied().map(Value::from).collect();
    row.put(limit.id.uuid())
        .put(limit.account.as_str())
        .put(limit.scope.kind())
        .put(limit.scope.name())
        .put(limit.window.as_str())
        .put(limit.action.as_str())
        .put(limit.cap.micros())
        .put(json_list(alerts))
        .put(limit.set_at.micros())
        .put(removed_at.map(Timestamp::micros));
}

fn limit_window((id, window): &(LimitId, WindowUse), row: &mut Row) {
    row.put(id.uuid())
        .put(window.span.start.micros())
        .put(window.span.end.micros())
        .put(window.held.micros())
        .put(window.spent.micros())
        .put(window.alerted)
        .put(window.told);
}

fn new_account((id, at): &(AccountId, Timestamp), row: &mut Row) {
    row.put(id.as_str()).put(at.micros());
}

fn new_profile((account, profile): &(AccountId, Profile), row: &mut Row) {
    let alerts = profile.balance_alerts.iter().map(|alert| Value::from(alert.to_string()));
    row.put(account.as_str())
        .put(profile.zone.name())
        .put(json_list(alerts.collect()))
        .put(profile.told.map(|(credits, _)| credits.micros()))
        .put(profile.told.map(|(_, lot)| lot.entry_seq))
        .put(profile.told.map(|(_, lot)| lot.index));
}

/// Where the credits of a lot are now.
pub(crate) fn lot_parts((id, parts): &(LotId, LotParts), row: &mut Row) {
    row.put(id.entry_seq)
        .put(id.index)
        .put(parts.left.micros())
        .put(parts.held.micros())
        .put(parts.spent.micros())
        .put(parts.expired.micros())
        .put(parts.taken.micros())
        .put(parts.revoked)
        .put(parts.warned);
}
