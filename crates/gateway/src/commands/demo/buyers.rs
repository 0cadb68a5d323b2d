//! What the buyers do, one after another, and what must have come of it.

use inspay_primitives::{Address, Credits, Reference, U256};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    reorgs,
    shop::{base_units, order_path},
    world::{World, chain_failure},
};
use crate::{
    exit::{Failure, FailureKind, Outcome},
    output,
};

/// One buyer's story.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Story {
    /// Short name, stable for programs.
    pub(super) name: &'static str,
    /// What the buyer did.
    pub(super) did: String,
    /// What came of it.
    pub(super) came: String,
    /// Credits the buyer can spend now; absent where nobody bought anything.
    pub(super) credits: Option<String>,
    /// Whether it came as it must.
    pub(super) ok: bool,
}

/// Plays every story. The late payment comes last: it moves the chain's clock.
pub(super) async fn play(world: &mut World) -> Outcome<Vec<Story>> {
    let mut stories = vec![pack_in_usdt(world).await?, custom_in_inspi(world).await?];
    stories.extend(three_by_multisend(world).await?);
    stories.push(in_two_parts(world).await?);
    stories.push(overpaid(world).await?);
    stories.push(from_nobody(world).await?);
    stories.push(worthless(world).await?);
    stories.push(reorgs::before_settlement(world).await?);
    stories.push(reorgs::after_settlement(world).await?);
    stories.push(killed(world).await?);
    stories.push(late(world).await?);
    Ok(stories)
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

pub(super) fn shown(amount: &Value, asset: &Value) -> String {
    format!("{} {}", output::short(&text(&amount["decimal"])), text(&asset["symbol"]))
}

/// The ending of a story in which an account must have exactly `expected` credits.
pub(super) async fn told(
    world: &World,
    name: &'static str,
    account: &str,
    (did, came): (String, String),
    expected: &str,
) -> Outcome<Story> {
    let credits = world.shop.available(account).await?;
    let ok = credits == expected;
    world.say(&format!("  {} {account}: {did}; {came}", if ok { "ok" } else { "WRONG" }));
    Ok(Story { name, did, came, credits: Some(credits), ok })
}

async fn pack_in_usdt(world: &World) -> Outcome<Story> {
    let account = "ada";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    world.pay(&order, world.chain.buyer(0)).await?;
    world.confirm().await?;
    let paid = world.shop.wait_for(&order, "paid").await?;
    let did = format!(
        "a pack, {} with the reference in the calldata",
        shown(&order["due"], &order["asset"])
    );
    let came = format!("paid by {}", text(&paid["transfers"][0]["why"]["evidence"]));
    told(world, "pack_usdt_reference", account, (did, came), &text(&order["credits"])).await
}

async fn custom_in_inspi(world: &World) -> Outcome<Story> {
    let account = "bela";
    let wish = json!({ "credits": "250", "promotion_code": "LAUNCH10" });
    let (quote, order) = world.shop.order(account, &wish, "INSPI").await?;
    world.pay(&order, world.chain.buyer(1)).await?;
    world.confirm().await?;
    let paid = world.shop.wait_for(&order, "paid").await?;
    let did = format!(
        "250 credits with LAUNCH10 and the INSPI discount, list {} USD for {} USD, {}",
        output::short(&text(&quote["list_price_usd"])),
        output::short(&text(&order["price_usd"])),
        shown(&order["due"], &order["asset"]),
    );
    let came = format!("paid by {}", text(&paid["transfers"][0]["why"]["evidence"]));
    told(world, "custom_inspi_promotion", account, (did, came), "250.000000").await
}

async fn three_by_multisend(world: &World) -> Outcome<Vec<Story>> {
    let names = ["carl", "dora", "emil"];
    let stories = ["multisend_first", "multisend_second", "multisend_third"];
    let mut orders = Vec::new();
    let mut payments = Vec::new();
    for account in names {
        let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
        payments.push((world.chain.deployment().treasury, base_units(&order["due"])?));
        orders.push(order);
    }
    // An exchange pays out like this: one chain transaction, a sender that nobody knows.
    world
        .chain
        .multisend_held(world.chain.buyer(2), world.usdt(), &payments)
        .await
        .map_err(chain_failure("cannot send to many"))?;
    world.confirm().await?;
    let mut told_all = Vec::new();
    for ((account, order), name) in names.into_iter().zip(&orders).zip(stories) {
        let paid = world.shop.wait_for(order, "paid").await?;
        let did = format!(
            "{} in one multisend of an unknown sender",
            shown(&order["due"], &order["asset"])
        );
        let came = format!("paid by {}", text(&paid["transfers"][0]["why"]["evidence"]));
        told_all.push(told(world, name, account, (did, came), &text(&order["credits"])).await?);
    }
    Ok(told_all)
}

/// Sends part of what an order asks for, with its reference.
async fn send_part(world: &World, order: &Value, payer: Address, part: U256) -> Outcome {
    let reference: Reference = text(&order["reference"])
        .parse()
        .map_err(|why| Failure::new(FailureKind::Other, "the order has no reference", why))?;
    let treasury = world.chain.deployment().treasury;
    world
        .chain
        .transfer(world.usdt(), payer, treasury, part, Some(reference))
        .await
        .map(|_| ())
        .map_err(chain_failure("cannot pay a part"))
}

async fn in_two_parts(world: &World) -> Outcome<Story> {
    let account = "fred";
    let (_, order) = world.shop.order(account, &json!({ "pack": "creator" }), "USDT").await?;
    let due = base_units(&order["due"])?;
    let payer = world.chain.buyer(3);
    send_part(world, &order, payer, due / U256::from(3)).await?;
    world.confirm().await?;
    let partial = world.shop.wait_for(&order, "partially_paid").await?;
    let rest = shown(&partial["remaining"], &order["asset"]);
    world.pay(&partial, payer).await?;
    world.confirm().await?;
    world.shop.wait_for(&order, "paid").await?;
    let did = format!("a third of {}, then the rest", shown(&order["due"], &order["asset"]));
    let came = format!("partially paid with {rest} left, then paid");
    told(world, "two_parts", account, (did, came), &text(&order["credits"])).await
}

async fn overpaid(world: &World) -> Outcome<Story> {
    let account = "gina";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    let due = base_units(&order["due"])?;
    // Twice the due amount buys twice the credits, to the last micro-credit.
    send_part(world, &order, world.chain.buyer(4), due * U256::from(2)).await?;
    world.confirm().await?;
    let paid = world.shop.wait_for(&order, "paid").await?;
    let credits: Credits = text(&order["credits"])
        .parse()
        .map_err(|why| Failure::new(FailureKind::Other, "the order has no credits", why))?;
    let expected = credits.checked_add(credits).unwrap_or(credits).to_string();
    let did = format!("twice {}", shown(&order["due"], &order["asset"]));
    let came =
        format!("credited {} for {} asked for", text(&paid["credited"]), text(&order["credits"]));
    told(world, "overpaid", account, (did, came), &expected).await
}

async fn from_nobody(world: &World) -> Outcome<Story> {
    let treasury = world.chain.deployment().treasury;
    let fifty = U256::from(50_000_000);
    let tx_hash = world
        .chain
        .transfer(world.usdt(), world.chain.buyer(5), treasury, fifty, None)
        .await
        .map_err(chain_failure("cannot send"))?;
    world.confirm().await?;
    let transfer = world.shop.wait_for_transfer(tx_hash, "suspended").await?;
    let reason = text(&transfer["why"]["reason"]);
    let did = "50 USDT from nobody".to_owned();
    let came = format!("in suspense: {reason}");
    let ok = reason == "no_evidence";
    world.say(&format!("  {} {did}; {came}", if ok { "ok" } else { "WRONG" }));
    Ok(Story { name: "round_amount_suspense", did, came, credits: None, ok })
}

async fn worthless(world: &World) -> Outcome<Story> {
    let account = "hugo";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    let due = base_units(&order["due"])?;
    let payer = world.chain.buyer(6);
    let place = world.chain.deployment();
    let fake = world
        .chain
        .pay_with_fake(payer, due)
        .await
        .map_err(chain_failure("cannot send the fake token"))?;
    let zero = world
        .chain
        .transfer(place.usdt, payer, place.treasury, U256::ZERO, None)
        .await
        .map_err(chain_failure("cannot send nothing"))?;
    world.confirm().await?;
    // The fake lies in an earlier block: once the zero is booked, it has been passed over for good.
    let ignored = world.shop.wait_for_transfer(zero, "ignored").await?;
    let fakes = world.shop.get(&format!("/v1/transfers?tx_hash={fake}")).await?;
    let still = world.shop.get(&order_path(&order)).await?;
    let did = format!(
        "{} of a token that calls itself USDT, then zero USDT",
        text(&order["due"]["decimal"])
    );
    let came = format!(
        "{} fake transfers recorded, the zero ignored ({}), the order {}",
        fakes["items"].as_array().map_or(0, Vec::len),
        text(&ignored["why"]["reason"]),
        text(&still["state"]),
    );
    let story = told(world, "zero_and_fake", account, (did, came), "0.000000").await?;
    let unseen = fakes["items"].as_array().is_some_and(Vec::is_empty);
    Ok(Story { ok: story.ok && unseen && still["state"] == "open", ..story })
}

async fn killed(world: &mut World) -> Outcome<Story> {
    let account = "kurt";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "USDT").await?;
    let tx_hash = world.pay(&order, world.chain.buyer(9)).await?;
    world.shop.wait_for_transfer(tx_hash, "pending").await?;
    world.kill_gateway().await?;
    world.confirm().await?;
    world.start_gateway().await?;
    world.shop.wait_for(&order, "paid").await?;
    let did = format!(
        "{}, and the gateway is killed before it settles",
        shown(&order["due"], &order["asset"])
    );
    let came = "settled once, after the restart".to_owned();
    told(world, "killed_between", account, (did, came), &text(&order["credits"])).await
}

async fn late(world: &World) -> Outcome<Story> {
    let account = "lena";
    let (_, order) = world.shop.order(account, &json!({ "pack": "starter" }), "INSPI").await?;
    // Past the deadline of half an hour and its grace, by the chain's clock.
    world.chain.increase_time(2_400).await.map_err(chain_failure("cannot move time"))?;
    world.mine(1).await?;
    world.shop.wait_for(&order, "expired").await?;
    let due = base_units(&order["due"])?;
    let place = world.chain.deployment();
    let reference = text(&order["reference"]).parse().ok();
    world
        .chain
        .transfer(place.inspi, world.chain.buyer(7), place.treasury, due, reference)
        .await
        .map_err(chain_failure("cannot pay late"))?;
    world.confirm().await?;
    let path = order_path(&order);
    let paid = world
        .shop
        .wait(&path, "a late payment to be credited", |seen| seen["credited"] != "0.000000")
        .await?;
    let expected = text(&paid["credited"]);
    let did = format!("{} after the deadline", shown(&order["due"], &order["asset"]));
    let came = format!(
        "expired, then credited {expected} at the rate of its block time ({} asked for)",
        text(&order["credits"])
    );
    let story = told(world, "late", account, (did, came), &expected).await?;
    let is_late = paid["transfers"][0]["why"]["late"] == true;
    Ok(Story { ok: story.ok && is_late, ..story })
}
