//! Rows under a head, for tables, comma-separated values and programs alike.
//!
//! Never rounds and never localizes: a cell is the value as the interface has it everywhere, and empty for none.

use inspay_ledger::{Hold, Limit, Lot, ResolutionKind, Usage, WindowUse};
use inspay_ports::HistoryLine;
use inspay_primitives::{Credits, Label, Timestamp, UsageId};

use super::{Balance, UsageSum, UsageSummary, less};

/// Rows under a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Names of the columns.
    pub head: &'static [&'static str],
    /// Columns of numbers.
    pub numbers: &'static [usize],
    /// Cells, as many in each row as in the head.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Comma-separated values (RFC 4180) below their head.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = self.head.join(",");
        text.push_str("\r\n");
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn label(label: Option<&Label>) -> String {
    text(label)
}

fn ends(time: Timestamp) -> String {
    text((time < Timestamp::FAR).then_some(time))
}

/// The balance, and below it what lapses by day.
#[must_use]
pub fn balance_sheet(balance: &Balance) -> Sheet {
    let row =
        |what: &str, day: String, credits: Credits| vec![what.to_owned(), day, credits.to_string()];
    let mut rows = vec![
        row("available", String::new(), balance.available),
        row("held", String::new(), balance.held),
        row("posted", String::new(), balance.posted),
    ];
    rows.extend(balance.expiring.iter().map(|(day, sum)| row("expiring", day.to_string(), *sum)));
    Sheet { head: &["what", "day", "credits"], numbers: &[2], rows }
}

/// What an entry was for, of what its facts say.
fn facts_of(line: &HistoryLine) -> Result<[String; 6], serde_json::Error> {
    let facts: serde_json::Value = match &line.facts {
        Some(facts) => serde_json::from_str(facts)?,
        None => serde_json::Value::Null,
    };
    let told = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let purpose = &facts["purpose"];
    let named = if facts["reference"].is_string() { &facts } else { purpose };
    Ok([
        told(&facts["source"]),
        told(&purpose["feature"]),
        told(&purpose["project"]),
        told(&purpose["session"]),
        told(&named["reference"]),
        told(&facts["hold"]),
    ])
}

/// Lines of a history. Fails only where an entry's facts are no JSON.
pub fn history_sheet(lines: &[HistoryLine]) -> Result<Sheet, serde_json::Error> {
    let row = |line: &HistoryLine| {
        let mut cells = vec![
            line.entry_seq.to_string(),
            line.event_at.to_string(),
            line.booked_at.to_string(),
            line.kind.as_str().to_owned(),
            line.left.to_string(),
            line.held.to_string(),
            line.owed.to_string(),
        ];
        cells.extend(facts_of(line)?);
        cells.extend([text(line.order), text(line.transfer)]);
        Ok(cells)
    };
    let rows = lines.iter().map(row).collect::<Result<_, _>>()?;
    Ok(Sheet {
        head: &[
            "entry",
            "event_at",
            "booked_at",
            "kind",
            "credits",
            "held",
            "owed",
            "source",
            "feature",
            "project",
            "session",
            "reference",
            "hold",
            "order",
            "transfer",
        ],
        numbers: &[0, 4, 5, 6],
        rows,
    })
}

/// Lots.
#[must_use]
pub fn lots_sheet(lots: &[Lot]) -> Sheet {
    let row = |lot: &Lot| {
        vec![
            lot.id.to_string(),
            lot.source.as_str().to_owned(),
            label(lot.campaign.as_ref()),
            label(lot.scope.as_ref()),
            lot.priority.to_string(),
            lot.granted.to_string(),
            lot.parts.left.to_string(),
            lot.parts.held.to_string(),
            lot.parts.spent.to_string(),
            lot.parts.expired.to_string(),
            lot.parts.taken.to_string(),
            lot.granted_at.to_string(),
            ends(lot.expires_at),
            text(lot.paid),
            text(lot.order),
        ]
    };
    Sheet {
        head: &[
            "id",
            "source",
            "campaign",
            "scope",
            "priority",
            "granted",
            "left",
            "held",
            "spent",
            "expired",
            "taken",
            "granted_at",
            "expires_at",
            "paid_usd",
            "order",
        ],
        numbers: &[4, 5, 6, 7, 8, 9, 10, 13],
        rows: lots.iter().map(row).collect(),
    }
}

/// Spends.
#[must_use]
pub fn usages_sheet(usages: &[Usage]) -> Sheet {
    let row = |usage: &Usage| {
        let purpose = &usage.purpose;
        vec![
            usage.id.to_string(),
            usage.counted_at.to_string(),
            purpose.feature.to_string(),
            label(purpose.quality.as_ref()),
            label(purpose.size.as_ref()),
            text(purpose.units),
            label(purpose.project.as_ref()),
            label(purpose.session.as_ref()),
            label(purpose.reference.as_ref()),
            usage.credits.to_string(),
            usage.refunded.to_string(),
            text(usage.hold),
        ]
    };
    Sheet {
        head: &[
            "id",
            "counted_at",
            "feature",
            "quality",
            "size",
            "units",
            "project",
            "session",
            "reference",
            "credits",
            "refunded",
            "hold",
        ],
        numbers: &[5, 9, 10],
        rows: usages.iter().map(row).collect(),
    }
}

/// Sums of usage.
#[must_use]
pub fn summary_sheet(summary: &UsageSummary) -> Sheet {
    let row = |sum: &UsageSum| {
        vec![
            sum.name.clone(),
            sum.sums.spends.to_string(),
            sum.sums.units.to_string(),
            sum.sums.spent.to_string(),
            sum.sums.refunded.to_string(),
            sum.net.to_string(),
            sum.net_before.to_string(),
            text(sum.change_percent()),
        ]
    };
    Sheet {
        head: &[
            "name",
            "spends",
            "units",
            "spent",
            "refunded",
            "net",
            "net_before",
            "change_percent",
        ],
        numbers: &[1, 2, 3, 4, 5, 6, 7],
        rows: summary.items.iter().map(row).collect(),
    }
}

/// Holds as they stand at `now`: one that ran out has lapsed, whether or not that is booked.
#[must_use]
pub fn holds_sheet(holds: &[Hold], now: Timestamp) -> Sheet {
    let row = |hold: &Hold| {
        let captured = hold.resolution.filter(|end| end.kind == ResolutionKind::Captured);
        let state = match hold.resolution {
            Some(end) => end.kind.as_str(),
            None if hold.is_open(now) => "open",
            None => ResolutionKind::Lapsed.as_str(),
        };
        let purpose = &hold.purpose;
        vec![
            hold.id.to_string(),
            state.to_owned(),
            purpose.feature.to_string(),
            label(purpose.project.as_ref()),
            label(purpose.session.as_ref()),
            label(purpose.reference.as_ref()),
            hold.credits.to_string(),
            text(captured.map(|end| end.captured)),
            text(captured.map(|end| UsageId { entry_seq: end.entry_seq })),
            hold.made_at.to_string(),
            hold.expires_at.to_string(),
        ]
    };
    Sheet {
        head: &[
            "id",
            "state",
            "feature",
            "project",
            "session",
            "reference",
            "credits",
            "captured",
            "usage",
            "made_at",
            "expires_at",
        ],
        numbers: &[6, 7],
        rows: holds.iter().map(row).collect(),
    }
}

/// Limits, each with what its present window has in it.
#[must_use]
pub fn limits_sheet(limits: &[(Limit, Option<WindowUse>)]) -> Sheet {
    let row = |(limit, used): &(Limit, Option<WindowUse>)| {
        let (held, spent) = used.map_or_else(Default::default, |used| (used.held, used.spent));
        let left = less(less(limit.cap, held), spent).max(Credits::ZERO);
        vec![
            limit.id.to_string(),
            limit.scope.kind().to_owned(),
            limit.scope.name().to_owned(),
            limit.window.as_str().to_owned(),
            limit.action.as_str().to_owned(),
            limit.cap.to_string(),
            held.to_string(),
            spent.to_string(),
            left.to_string(),
            used.map(|used| ends(used.span.end)).unwrap_or_default(),
        ]
    };
    Sheet {
        head: &[
            "id",
            "scope",
            "name",
            "window",
            "action",
            "cap",
            "held",
            "spent",
            "left",
            "window_end",
        ],
        numbers: &[5, 6, 7, 8],
        rows: limits.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_quoted() {
        let row = ["plain", "a,b", "say \"so\"", "two\nlines", ""].map(str::to_owned).to_vec();
        let head = &["one", "two", "three", "four", "five"];
        let sheet = Sheet { head, numbers: &[], rows: vec![row] };
        assert_eq!(
            sheet.csv(),
            "one,two,three,four,five\r\nplain,\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",\r\n"
        );
    }
}
