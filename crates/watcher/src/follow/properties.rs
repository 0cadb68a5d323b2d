//! Whatever the chain does and whenever it is looked at, what is applied becomes what is canonical.

use proptest::prelude::*;

use super::{
    Follow, Idle, Next,
    model::{Kept, Model, Turn, rules, settle, turn},
};

/// What happens between two questions.
#[derive(Clone, Debug)]
enum Happening {
    Mine(u64),
    Reorg { depth: u64, blocks: u64 },
    BringBack(usize),
    Finalize(u64),
    Restart,
    Fail,
    LookAt { head_below: u64 },
    Turns(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (1u64..40).prop_map(Happening::Mine),
        3 => (1u64..12, 0u64..14).prop_map(|(depth, blocks)| Happening::Reorg { depth, blocks }),
        2 => (0usize..8).prop_map(Happening::BringBack),
        2 => (0u64..30).prop_map(Happening::Finalize),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Fail),
        1 => (1u64..10).prop_map(|head_below| Happening::LookAt { head_below }),
        8 => (1u8..12).prop_map(Happening::Turns),
    ]
}

fn happen(happening: &Happening, follow: &mut Follow, model: &mut Model, kept: &mut Kept) {
    match happening {
        Happening::Mine(blocks) => model.mine(*blocks),
        Happening::Reorg { depth, blocks } => model.reorg(*depth, *blocks),
        Happening::BringBack(which) => model.bring_back(*which),
        Happening::Finalize(below) => {
            let number = model.head().block.number.saturating_sub(*below);
            model.finalized = model.finalized.max(number);
        }
        Happening::Restart => *follow = Follow::restore(rules(), kept.cursor, &kept.window()),
        Happening::Fail => follow.look(),
        Happening::LookAt { head_below } => {
            let number = model.head().block.number.saturating_sub(*head_below);
            let head = model.at(number).expect("mined").clone();
            follow.look();
            turn(follow, model, &head, kept);
            turn(follow, model, &head, kept);
        }
        Happening::Turns(turns) => {
            if matches!(follow.next(), Next::Idle(_) | Next::Halt(_)) {
                follow.look();
            }
            for _ in 0..*turns {
                if turn(follow, model, &model.head().clone(), kept) != Turn::Went {
                    break;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_applied_becomes_what_is_canonical(
        blocks in 1u64..60,
        start in 0u64..20,
        happenings in prop::collection::vec(happening(), 1..40),
    ) {
        let mut model = Model::new(blocks);
        let mut kept = Kept::default();
        let rules = super::FollowRules { start_number: start, ..rules() };
        let mut follow = Follow::restore(rules, None, &[]);
        for happening in &happenings {
            if kept.cursor.is_none() && matches!(happening, Happening::Restart) {
                continue;
            }
            happen(happening, &mut follow, &mut model, &mut kept);
        }
        // A chain that only lost blocks looks like a node that lags, until it grows again.
        model.mine(1 + start);
        let rest = settle(&mut follow, &model, &mut kept);
        let expected: Vec<_> = model
            .canonical
            .iter()
            .filter(|header| header.block.number >= start)
            .map(|header| (header.block.number, header.block.hash))
            .collect();
        let applied: Vec<_> =
            kept.canonical.iter().map(|(number, hash)| (*number, *hash)).collect();
        let is_before_start = matches!(rest, Turn::Idle(Idle::BeforeStart { .. }));
        if !is_before_start {
            prop_assert_eq!(rest, Turn::Idle(Idle::AtHead));
        }
        prop_assert_eq!(applied, expected);
        prop_assert!(is_before_start || follow.is_checked());
    }
}
