//! Lots by themselves: the order in which they burn, and what they can be spent on.

use inspay_ledger::{Lot, LotParts, LotSource};
use inspay_primitives::{Credits, LotId, Timestamp};

fn lot(entry_seq: i64) -> Lot {
    let granted: Credits = "5".parse().expect("credits");
    Lot {
        id: LotId { entry_seq, index: 0 },
        account: "alice".parse().expect("an account"),
        source: LotSource::Prize,
        campaign: None,
        scope: None,
        priority: 50,
        order: None,
        transfer: None,
        granted,
        granted_at: Timestamp::from_chain_seconds(100),
        expires_at: Timestamp::from_chain_seconds(1_000),
        paid: None,
        parts: LotParts::of_new(granted),
    }
}

#[test]
fn lots_burn_in_one_total_order() {
    let nothing = Some("0".parse().expect("dollars"));
    let something = Some("0.01".parse().expect("dollars"));
    let purchase = LotSource::Purchase;
    // Each burns before the one below it.
    let in_order = [
        Lot { scope: Some("video".parse().expect("a label")), priority: 99, ..lot(20) },
        Lot { priority: 10, expires_at: Timestamp::FAR, ..lot(19) },
        Lot { expires_at: Timestamp::from_chain_seconds(900), paid: something, ..lot(18) },
        Lot { granted_at: Timestamp::from_chain_seconds(99), ..lot(17) },
        // Free ones: not bought, or bought for nothing.
        lot(3),
        Lot { paid: nothing, ..lot(4) },
        Lot { source: purchase, paid: nothing, ..lot(5) },
        // Paid for, or bought at a price that is not known.
        Lot { source: purchase, paid: something, ..lot(1) },
        Lot { paid: something, ..lot(2) },
        Lot { source: purchase, ..lot(6) },
    ];
    for (place, pair) in in_order.windows(2).enumerate() {
        assert!(pair[0].burn_order() < pair[1].burn_order(), "{place}: {pair:?}");
    }
}

#[test]
fn a_lot_is_spent_on_its_own_feature_while_it_is_live() {
    let video = "video".parse().expect("a label");
    let chat = "chat".parse().expect("a label");
    let scoped = Lot { scope: Some("video".parse().expect("a label")), ..lot(1) };
    assert!(scoped.fits(&video) && !scoped.fits(&chat) && lot(1).fits(&chat));
    let at = Timestamp::from_chain_seconds;
    assert!(lot(1).is_live(at(999)) && !lot(1).is_live(at(1_000)));
    let empty = Lot { parts: LotParts::default(), ..lot(1) };
    assert!(!empty.is_live(at(999)));
    let revoked = LotParts { revoked: true, ..lot(1).parts };
    assert!(!Lot { parts: revoked, ..lot(1) }.is_live(at(999)));
}
