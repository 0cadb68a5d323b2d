//! The faults that a node may have, and what each does to an answer. Pure: the choice is handed in.
//!
//! Never invents a fault that no node was seen with, but for [`Fault::Lie`] and [`Fault::FalseBalance`],
//! which stand for a node that somebody else has taken over.

use std::{collections::HashMap, fmt};

use serde_json::{Value, json};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Logs and receipts of a block near the head are said to be none.
    EmptyNearHead,
    /// The last log of an answer is missing, be it of logs or of receipts.
    LastLogDropped,
    /// A request meets a node that is three blocks behind.
    ThreeBehind,
    /// The node has stopped at the head that it had when this was switched on.
    StaleHead,
    /// HTTP 429.
    TooManyRequests,
    /// HTTP 503.
    Unavailable,
    /// The connection is reset.
    Reset,
    /// A quarter of a second late.
    Delay,
    /// No answer at all.
    Hang,
    /// Half of the body, then the end of the connection.
    Truncated,
    /// A log, a receipt, or an answer of a batch comes twice.
    Duplicated,
    /// Logs, receipts, or the answers of a batch come in the opposite order.
    Reordered,
    /// Amounts and calldata are others than were mined.
    Lie,
    /// What a holder has of a token is told one base unit higher.
    FalseBalance,
    /// The WebSocket closes instead of telling of a head.
    WsDrop,
    /// The WebSocket tells of a head twice.
    WsRepeat,
    /// The WebSocket does not tell of a head.
    WsSilent,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::EmptyNearHead,
        Self::LastLogDropped,
        Self::ThreeBehind,
        Self::StaleHead,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Reset,
        Self::Delay,
        Self::Hang,
        Self::Truncated,
        Self::Duplicated,
        Self::Reordered,
        Self::Lie,
        Self::FalseBalance,
        Self::WsDrop,
        Self::WsRepeat,
        Self::WsSilent,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyNearHead => "empty near head",
            Self::LastLogDropped => "last log dropped",
            Self::ThreeBehind => "three behind",
            Self::StaleHead => "stale head",
            Self::TooManyRequests => "429",
            Self::Unavailable => "503",
            Self::Reset => "reset",
            Self::Delay => "delay",
            Self::Hang => "hang",
            Self::Truncated => "truncated",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::Lie => "lie",
            Self::FalseBalance => "false balance",
            Self::WsDrop => "websocket drop",
            Self::WsRepeat => "websocket repeat",
            Self::WsSilent => "websocket silent",
        })
    }
}

/// Blocks below the head in which [`Fault::EmptyNearHead`] happens.
const NEAR_HEAD: u64 = 16;
/// So far behind is [`Fault::ThreeBehind`].
pub(super) const BEHIND: u64 = 3;

const ALTERED_METHODS: [&str; 2] = ["eth_getLogs", "eth_getBlockReceipts"];

/// A number of JSON-RPC.
pub(super) fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The answer of a node that has seen no block above `top` to a question that an honest one answered so.
/// Answers whether it is another.
pub(super) fn seen_only_up_to(
    top: u64,
    call: &Value,
    answer: &mut Value,
    heights: &HashMap<String, u64>,
) -> bool {
    let method = call["method"].as_str().unwrap_or_default();
    let is_above = |value: &Value| quantity(value).is_some_and(|number| number > top);
    let first = &call["params"][0];
    let is_hidden = match method {
        "eth_blockNumber" => {
            let is_other = is_above(&answer["result"]);
            if is_other {
                answer["result"] = json!(format!("{top:#x}"));
            }
            return is_other;
        }
        "eth_getBlockByNumber" | "eth_getBlockByHash" => is_above(&answer["result"]["number"]),
        "eth_getTransactionByHash" | "eth_getTransactionReceipt" => {
            is_above(&answer["result"]["blockNumber"])
        }
        "eth_getBlockReceipts" => is_above(&answer["result"][0]["blockNumber"]),
        "eth_getLogs" => {
            let Some(logs) = answer["result"].as_array_mut() else { return false };
            let before = logs.len();
            logs.retain(|log| !is_above(&log["blockNumber"]));
            return logs.len() != before;
        }
        "eth_call" => {
            let hash = call["params"][1]["blockHash"].as_str().unwrap_or_default();
            let is_unknown = heights.get(hash).is_some_and(|number| *number > top);
            if is_unknown {
                let error = json!({ "code": -32000, "message": "header not found" });
                *answer = json!({ "jsonrpc": "2.0", "id": call["id"], "error": error });
            }
            return is_unknown;
        }
        _ => false,
    };
    let is_asked_by_tag = method == "eth_getBlockByNumber" && quantity(first).is_none();
    // What was asked by tag was asked for at `top` already.
    if is_hidden && !is_asked_by_tag {
        answer["result"] = Value::Null;
    }
    is_hidden && !is_asked_by_tag
}

/// The question that a node with no block above `top` takes it for: its newest block is that one.
pub(super) fn asked_at(top: u64, call: &mut Value) {
    if call["method"] == "eth_getBlockByNumber" && call["params"][0] == "latest" {
        call["params"][0] = json!(format!("{top:#x}"));
    }
}

/// Does a fault to one honest answer. Answers whether it is another now.
pub(super) fn alter(fault: Fault, call: &Value, answer: &mut Value, head: u64) -> bool {
    let method = call["method"].as_str().unwrap_or_default();
    if fault == Fault::FalseBalance {
        return method == "eth_call" && raise(&mut answer["result"]);
    }
    if fault == Fault::Lie && matches!(method, "eth_getBlockByHash" | "eth_getTransactionByHash") {
        return lie_of_calldata(&mut answer["result"]);
    }
    if !ALTERED_METHODS.contains(&method) {
        return false;
    }
    let Some(rows) = answer["result"].as_array_mut().filter(|rows| !rows.is_empty()) else {
        return false;
    };
    match fault {
        Fault::EmptyNearHead => {
            let newest = rows.iter().filter_map(|row| quantity(&row["blockNumber"])).max();
            let is_near = newest.is_some_and(|number| number.saturating_add(NEAR_HEAD) > head);
            if is_near {
                rows.clear();
            }
            is_near
        }
        Fault::LastLogDropped => drop_last_log(rows, method),
        Fault::Duplicated => {
            rows.extend(rows.last().cloned());
            true
        }
        Fault::Reordered => {
            rows.reverse();
            rows.len() > 1
        }
        Fault::Lie => lie_of_amounts(rows),
        Fault::FalseBalance
        | Fault::ThreeBehind
        | Fault::StaleHead
        | Fault::TooManyRequests
        | Fault::Unavailable
        | Fault::Reset
        | Fault::Delay
        | Fault::Hang
        | Fault::Truncated
        | Fault::WsDrop
        | Fault::WsRepeat
        | Fault::WsSilent => false,
    }
}

fn drop_last_log(rows: &mut Vec<Value>, method: &str) -> bool {
    if method == "eth_getLogs" {
        return rows.pop().is_some();
    }
    let logs = rows.iter_mut().rev().filter_map(|receipt| receipt["logs"].as_array_mut());
    logs.filter(|logs| !logs.is_empty()).take(1).any(|logs| logs.pop().is_some())
}

fn lie_of_amounts(rows: &mut [Value]) -> bool {
    let mut is_other = false;
    for row in rows {
        is_other |= raise(&mut row["data"]);
        for log in row["logs"].as_array_mut().into_iter().flatten() {
            is_other |= raise(&mut log["data"]);
        }
    }
    is_other
}

fn lie_of_calldata(told: &mut Value) -> bool {
    let mut is_other = raise(&mut told["input"]);
    for chain_tx in told["transactions"].as_array_mut().into_iter().flatten() {
        // Only hashes, where the chain transactions were not asked for.
        if chain_tx.is_object() {
            is_other |= raise(&mut chain_tx["input"]);
        }
    }
    is_other
}

/// Changes the last digit of a hexadecimal text of a word or more.
fn raise(value: &mut Value) -> bool {
    let Some(text) = value.as_str().filter(|text| text.len() >= 66) else { return false };
    let (start, digit) = text.split_at(text.len().saturating_sub(1));
    let other = if digit == "f" { "0" } else { "f" };
    *value = json!(format!("{start}{other}"));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, params: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    }

    fn logs(count: u64) -> Value {
        let word = format!("0x{:064x}", 10);
        let log = |index| json!({ "logIndex": format!("{index:#x}"), "blockNumber": "0x64", "data": word });
        json!({ "id": 1, "result": (0..count).map(log).collect::<Vec<_>>() })
    }

    #[test]
    fn each_fault_changes_what_it_is_named_after() {
        let asked = call("eth_getLogs", &json!([{}]));
        let rows = |fault, head| {
            let mut answer = logs(3);
            let is_other = alter(fault, &asked, &mut answer, head);
            assert_eq!(is_other, answer != logs(3), "{fault}");
            answer["result"].as_array().map(Vec::len)
        };
        assert_eq!(rows(Fault::EmptyNearHead, 100), Some(0));
        assert_eq!(rows(Fault::EmptyNearHead, 200), Some(3));
        assert_eq!(rows(Fault::LastLogDropped, 100), Some(2));
        assert_eq!(rows(Fault::Duplicated, 100), Some(4));
        assert_eq!(rows(Fault::Reordered, 100), Some(3));
        assert_eq!(rows(Fault::Lie, 100), Some(3));
        assert_eq!(rows(Fault::Delay, 100), Some(3));
    }

    #[test]
    fn a_node_behind_has_no_newer_block() {
        let heights = HashMap::from([("0xaa".to_owned(), 100)]);
        let hides = |method, params, mut answer: Value| {
            seen_only_up_to(97, &call(method, &params), &mut answer, &heights).then_some(answer)
        };
        let at = |number: &str| json!({ "id": 1, "result": { "number": number } });
        let newer = hides("eth_getBlockByHash", json!(["0xaa"]), at("0x64"));
        assert_eq!(newer.map(|answer| answer["result"].clone()), Some(Value::Null));
        assert_eq!(hides("eth_getBlockByHash", json!(["0xaa"]), at("0x61")), None);
        let balance =
            hides("eth_call", json!([{}, { "blockHash": "0xaa" }]), json!({ "result": 1 }));
        assert!(balance.is_some_and(|answer| answer["error"]["message"] == "header not found"));
        let emptied = hides("eth_getLogs", json!([{}]), logs(2)).expect("another answer");
        assert_eq!(emptied["result"], json!([]));
        let mut latest = call("eth_getBlockByNumber", &json!(["latest", false]));
        asked_at(97, &mut latest);
        assert_eq!(latest["params"][0], "0x61");
    }
}
