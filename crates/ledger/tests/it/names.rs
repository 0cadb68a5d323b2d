//! Names as they are stored: one that changes would make what is stored unreadable.

use inspay_ledger::{
    Bucket, EntryKind, EventKind, Evidence, Hold, IgnoreReason, LimitAction, LimitScope,
    LimitWindow, LotSource, Purpose, Resolution, ResolutionKind, SettlementKind, SuspenseReason,
};
use inspay_primitives::{Credits, HoldId, Label, Timestamp};

/// Every name of a kind, and that each is read as what it was written from.
macro_rules! names {
    ($kind:ty) => {{
        for kind in <$kind>::ALL {
            assert_eq!(<$kind>::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(<$kind>::parse("no such name"), None);
        <$kind>::ALL.map(|kind| kind.as_str()).join(" ")
    }};
}

#[test]
fn names_stay_and_are_read_again() {
    let told = [
        names!(EntryKind),
        names!(EventKind),
        names!(Evidence),
        names!(SuspenseReason),
        names!(ResolutionKind),
        names!(LimitWindow),
        names!(LimitAction),
        names!(LotSource),
        names!(Bucket),
        names!(SettlementKind),
    ];
    let expected = [
        "settle settle_late suspend withdraw reverse close_order expire grant revoke hold capture release lapse_hold \
         spend refund",
        "order.paid order.overpaid order.partially_paid order.expired order.reversed order.paid_late \
         transfer.suspended transfer.reversed transfer.withdrawn credits.expired credits.expiring credits.granted \
         credits.revoked credits.refunded hold.lapsed limit.passed limit.reached limit.refused balance.low \
         account.negative account.whole",
        "reference exact_amount proven_payer claim",
        "no_evidence wrong_asset order_already_paid late no_rate_at_block_time too_many_credits",
        "captured released lapsed",
        "day month total",
        "warn refuse",
        "purchase subscription free_plan promotion prize",
        "left held spent expired taken",
        "order late suspense withdrawal ignored",
    ];
    assert_eq!(told, expected);
    for (reason, name) in
        [(IgnoreReason::ZeroValue, "zero_value"), (IgnoreReason::SelfTransfer, "self_transfer")]
    {
        assert_eq!((reason.as_str(), IgnoreReason::parse(name)), (name, Some(reason)));
    }
    assert_eq!(IgnoreReason::parse("no such name"), None);
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

#[test]
fn a_scope_is_read_again_and_counts_what_is_of_it() {
    let purpose = Purpose {
        project: Some(label("house")),
        session: Some(label("monday")),
        ..Purpose::of(label("video"))
    };
    for (kind, name, counts) in [
        ("account", "", true),
        ("feature", "video", true),
        ("feature", "house", false),
        ("project", "house", true),
        ("project", "monday", false),
        ("session", "monday", true),
        ("session", "video", false),
    ] {
        let scope = LimitScope::parse(kind, name).expect("a scope");
        assert_eq!((scope.kind(), scope.name()), (kind, name));
        assert_eq!(scope.counts(&purpose), counts, "{kind} {name}");
    }
    for (kind, name) in [("account", "video"), ("feature", ""), ("planet", "mars")] {
        assert_eq!(LimitScope::parse(kind, name), None, "{kind} {name}");
    }
}

#[test]
fn a_hold_is_open_until_it_ends_or_runs_out() {
    let time = Timestamp::from_micros;
    let hold = Hold {
        id: HoldId::from_uuid(uuid::Uuid::from_u128(1)),
        account: "ann".parse().expect("an account"),
        purpose: Purpose::of(label("video")),
        credits: Credits::from_micros(5),
        made_at: time(10),
        expires_at: time(20),
        entry_seq: 1,
        slices: Vec::new(),
        resolution: None,
    };
    let resolution = Resolution {
        hold: hold.id,
        kind: ResolutionKind::Released,
        captured: Credits::ZERO,
        entry_seq: 2,
        resolved_at: time(15),
    };
    let ended = Hold { resolution: Some(resolution), ..hold.clone() };
    for (now, is_open) in [(10, true), (19, true), (20, false), (21, false)] {
        assert_eq!(hold.is_open(time(now)), is_open, "{now}");
        assert!(!ended.is_open(time(now)), "{now}");
    }
}
