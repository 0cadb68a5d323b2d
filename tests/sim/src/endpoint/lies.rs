//! Wrong answers: what a sloppy endpoint leaves out or mixes up, and what a liar tells.
//!
//! Never a whole branch of valid blocks that no chain ever had: without a view on consensus nobody could
//! tell, and more endpoints are what helps.

use serde_json::Value;

use super::{
    answers::{Asked, Node, Told},
    profile::Character,
};
use crate::{dice::Dice, journal::Event};

/// A wrong answer in place of the right one, if the character has one for it.
pub(crate) fn twist(
    dice: &mut Dice,
    character: Character,
    node: &Node<'_>,
    asked: &Asked,
    told: &Told,
) -> Option<(Told, Event)> {
    let Told::Result(text) = told else { return None };
    let is_liar = character == Character::Liar;
    match asked.method.as_str() {
        "eth_getBlockReceipts" | "eth_getLogs" => {
            let is_range = asked.method == "eth_getLogs";
            let mut list: Vec<Value> = serde_json::from_str(text).ok()?;
            let event = if is_liar {
                lie_in(dice, &mut list, is_range, node.number)?
            } else {
                mix_up(dice, &mut list, is_range, node.number == 0)?
            };
            Some((Told::Result(Value::Array(list).to_string()), event))
        }
        "eth_call" if is_liar => {
            let held: String = serde_json::from_str(text).ok()?;
            let lied = altered(&held, node.number)?;
            Some((Told::Result(Value::from(lied).to_string()), Event::AlteredBalance))
        }
        "eth_getBlockByHash" | "eth_getBlockByNumber" if is_liar => {
            let mut block: Value = serde_json::from_str(text).ok()?;
            let event = lie_about(dice, &mut block)?;
            Some((Told::Result(block.to_string()), event))
        }
        "eth_getBlockByHash" | "eth_getBlockByNumber" => {
            if asked.params[0].as_str().is_none_or(|tag| !tag.starts_with("0x")) {
                return None;
            }
            let block = node.block_of(asked)?;
            let other = node.view.at(node.chain, block.number().checked_sub(1)?)?;
            Some((Told::Result(other.full_json()), Event::WrongBlock))
        }
        _ => None,
    }
}

/// The logs of an answer: a range's, or those of its receipts.
fn logs_of(list: &mut [Value], is_range: bool) -> Option<&mut Vec<Value>> {
    if is_range {
        return None;
    }
    list.iter_mut()
        .filter_map(|receipt| receipt.get_mut("logs")?.as_array_mut())
        .rfind(|logs| !logs.is_empty())
}

/// Whether a log moves nothing.
fn is_worthless(log: &Value) -> bool {
    let word = log["data"].as_str().and_then(|word| word.strip_prefix("0x"));
    word.is_some_and(|word| word.bytes().all(|digit| digit == b'0'))
}

/// Two endpoints that hide the same transfer of nothing are not to be told from honest ones by any balance, and nobody
/// loses by it: only one of them does so.
fn mix_up(
    dice: &mut Dice,
    list: &mut Vec<Value>,
    is_range: bool,
    hides_worthless: bool,
) -> Option<Event> {
    if list.is_empty() {
        return None;
    }
    Some(match dice.below(4) {
        0 | 1 if !is_range || hides_worthless || !list.last().is_some_and(is_worthless) => {
            match logs_of(list, is_range) {
                Some(logs) => drop(logs.pop()),
                None => drop(list.pop()),
            }
            Event::MissingLog
        }
        0..3 => {
            let last = list.last().cloned()?;
            list.push(last);
            Event::DoubledAnswer
        }
        _ => {
            list.reverse();
            Event::WrongOrder
        }
    })
}

fn lie_in(dice: &mut Dice, list: &mut [Value], is_range: bool, liar: usize) -> Option<Event> {
    let forges = !is_range && dice.chance(400);
    let log = if is_range { list.last_mut()? } else { logs_of(list, is_range)?.last_mut()? };
    if forges {
        let mut forged = log.clone();
        let index = forged["logIndex"].as_str()?.strip_prefix("0x")?;
        let next = u64::from_str_radix(index, 16).ok()? + 1;
        forged["logIndex"] = format!("{next:#x}").into();
        logs_of(list, is_range)?.push(forged);
        return Some(Event::ForgedLog);
    }
    let lied = altered(log["data"].as_str()?, liar)?;
    log["data"] = lied.into();
    Some(Event::AlteredAmount)
}

/// A number with another last digit: each liar's own, since nobody could tell two of three who agree from honest ones.
fn altered(word: &str, liar: usize) -> Option<String> {
    let (rest, last) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let other = (u64::from_str_radix(last, 16).ok()? + 1 + u64::try_from(liar).ok()?) % 16;
    Some(format!("{rest}{other:x}"))
}

fn lie_about(dice: &mut Dice, block: &mut Value) -> Option<Event> {
    let txs = block.get_mut("transactions")?.as_array_mut()?;
    if let (Some(tx), true) = (txs.last_mut(), dice.chance(500)) {
        let input = tx["input"].as_str()?;
        let lied = format!("{}ff", input.get(..input.len().checked_sub(2)?)?);
        tx["input"] = lied.into();
        return Some(Event::AlteredCalldata);
    }
    block["timestamp"] = "0x6a1b2c3d".into();
    Some(Event::AlteredHeader)
}
