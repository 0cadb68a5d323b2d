//! Two buyers whose payments the chain takes away and gives back.

use inspay_devchain::Replay;
use inspay_primitives::U256;
use serde_json::json;

use super::{
    buyers::{Story, shown, text, told},
    world::{CONFIRMATIONS, World, chain_failure},
};
use crate::exit::Outcome;

/// Mined again in another block at another log index before it was deep enough.
pub(super) async fn before_settlement(world: &World) -> Outcome<Story> {
    let account = "ines";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    let payment = world.pay(&order, world.chain.buyer(7)).await?;
    let place = world.chain.deployment();
    let other = world
        .chain
        .transfer(place.usdt, world.chain.buyer(8), place.stranger, U256::from(1), None)
        .await
        .map_err(chain_failure("cannot send"))?;
    let before = world.shop.wait_for_transfer(payment, "pending").await?;
    // The other one first: the payment moves down a block and along an index.
    let branch = vec![Replay::same(other, 1), Replay::same(payment, 1)];
    world.chain.reorg(2, branch).await.map_err(chain_failure("cannot reorganise"))?;
    world.confirm().await?;
    world.shop.wait_for(&order, "paid").await?;
    let after = world.shop.wait_for_transfer(payment, "attributed").await?;
    let place_of = |transfer: &serde_json::Value| {
        format!("block {} log {}", transfer["block"]["number"], transfer["block"]["log_index"])
    };
    let did = format!(
        "{}, moved from {} to {}",
        shown(&order["due"], &order["asset"]),
        place_of(&before),
        place_of(&after)
    );
    let came = "settled once, where it ended up".to_owned();
    let story = told(world, "reorg_before", account, (did, came), &text(&order["credits"])).await?;
    let moved = before["block"]["number"] != after["block"]["number"]
        && before["block"]["log_index"] != after["block"]["log_index"]
        && before["id"] == after["id"];
    Ok(Story { ok: story.ok && moved, ..story })
}

/// Gone after it was settled, and mined again later.
pub(super) async fn after_settlement(world: &World) -> Outcome<Story> {
    let account = "jana";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    let payment = world.pay(&order, world.chain.buyer(8)).await?;
    world.confirm().await?;
    world.shop.wait_for(&order, "paid").await?;
    let raw = world
        .chain
        .raw_transaction(payment)
        .await
        .map_err(chain_failure("cannot read the payment"))?;
    world
        .chain
        .reorg(u64::from(CONFIRMATIONS), Vec::new())
        .await
        .map_err(chain_failure("cannot reorganise"))?;
    world.shop.wait_for(&order, "open").await?;
    let between = world.shop.available(account).await?;
    world.mine(1).await?;
    world.chain.remine(&raw).await.map_err(chain_failure("cannot mine it again"))?;
    world.confirm().await?;
    let paid = world.shop.wait_for(&order, "paid").await?;
    let did = format!(
        "{}, settled, then reorganised away and mined again",
        shown(&order["due"], &order["asset"])
    );
    let came = format!("reversed to {between} credits, then settled again");
    let story = told(world, "reorg_after", account, (did, came), &text(&order["credits"])).await?;
    let reversed_once = paid["transfers"][0]["reversals"] == 1;
    Ok(Story { ok: story.ok && between == "0.000000" && reversed_once, ..story })
}
