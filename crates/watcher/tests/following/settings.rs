//! Settings that the chain contradicts are refused by name.

use std::{error::Error, sync::Arc};

use inspay_ports::{Chain, TokenFacts};
use inspay_primitives::ChainId;
use inspay_watcher::{SettingsRefusedKind, check_settings};

use crate::world::{USDT, World};

async fn refusal(world: &World) -> Option<(String, String, bool)> {
    let chain: Arc<dyn Chain> = Arc::clone(&world.chain) as _;
    let refused = check_settings(&chain, &world.settings).await.err()?;
    let why = refused.source().expect("has a reason").to_string();
    Some((refused.setting, why, refused.kind.is_transient()))
}

#[tokio::test]
async fn each_refusal_names_its_setting() {
    let world = World::new();
    assert_eq!(refusal(&world).await, None);

    world.chain.change_faults(|faults| faults.chain_id = Some(ChainId(1)));
    let (setting, why, _) = refusal(&world).await.expect("refused");
    assert_eq!(setting, "chain_id");
    assert_eq!(why, "the settings say chain 31337, the node says chain 1");
    world.chain.change_faults(|faults| faults.chain_id = None);

    let facts = |has_code, decimals| TokenFacts { has_code, decimals, symbol: None };
    for (facts, expected) in [
        (facts(false, None), "assets.USDT.contract"),
        (facts(true, None), "assets.USDT.decimals"),
        (facts(true, Some(18)), "assets.USDT.decimals"),
    ] {
        world.chain.set_token(USDT, facts);
        assert_eq!(refusal(&world).await.map(|(setting, ..)| setting), Some(expected.to_owned()));
    }
}

#[tokio::test]
async fn a_token_of_another_chain_is_refused() {
    let mut world = World::new();
    world.settings.assets[1].asset.id.chain_id = ChainId(56);
    let (setting, why, _) = refusal(&world).await.expect("refused");
    assert_eq!(setting, "assets.INSPI.contract");
    assert_eq!(why, "the asset is of chain 56, the settings are of chain 31337");
}

#[tokio::test]
async fn a_node_that_is_gone_is_told_apart_from_a_wrong_setting() {
    let world = World::new();
    world.chain.change_faults(|faults| faults.unreachable = true);
    let chain: Arc<dyn Chain> = Arc::clone(&world.chain) as _;
    let refused = check_settings(&chain, &world.settings).await.expect_err("refused");
    assert!(matches!(refused.kind, SettingsRefusedKind::Unanswered(_)));
    assert!(refused.kind.is_transient());
}
