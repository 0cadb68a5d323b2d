//! What a node's refusal means, by its message before its code.
//!
//! Never takes a code alone for a rate limit: nodes use -32005 for too many requests and for too many
//! results, and a range that is asked for again unchanged would be asked for for ever.

use inspay_ports::{ChainErrorKind, NamedLimits};

use crate::wire::{clip, parse_quantity};

/// Words of a limit on requests; checked first, since such messages speak of limits as well.
const RATE: &[&str] = &[
    "rate limit",
    "rate-limit",
    "ratelimit",
    "request rate",
    "rate exceeded",
    "too many request",
    "throughput limit",
    "slow down",
    "too many connections",
    "request limit",
    "requests per",
    "request count",
    "calls per second",
    "rps limit",
    "compute unit",
    "capacity limit",
    "quota",
    "out of credits",
    "usage limit",
    "monthly limit",
    "daily limit",
];

/// Words of a block that the node has not, not yet, or no longer.
const NOT_YET: &[&str] = &[
    "unknown block",
    "block not found",
    "header not found",
    "header for hash not found",
    "indexing is in progress",
    "resource not found",
    "could not find block",
    "block could not be found",
    "cannot be found",
    "beyond current head",
    "beyond the head",
    "blockoutofrange",
    "in the future",
    "future block",
    "after last accepted block",
    "unfinalized",
    "not currently canonical",
    "not canonical",
    "missing trie node",
    "historical state",
    "state not available",
    "state is not available",
    "no state available",
    "state already discarded",
    "is not available",
    "pruned",
    "invalid block range",
    "receipts not available",
    "not indexed",
];

/// Words of a range, or a result, that is more than the node gives.
const RANGE: &[&str] = &[
    "block range limit",
    "block range is too",
    "block range too",
    "block range exceed",
    "block range greater",
    "blocks range",
    "range is too",
    "range too large",
    "range too wide",
    "range threshold",
    "range allowed",
    "max range",
    "maximum block range",
    "max block range",
    "maximum [from, to] blocks distance",
    "maximum allowed number of requested blocks",
    "requested too many blocks",
    "too many blocks",
    "block range should work",
    "with this block range",
    "limited to",
    "at most",
    "up to a",
    "ranges over",
    "smaller than size",
    "exceeded max allowed",
    "exceeds server limit",
    "results",
    "response size",
    "response too large",
    "response is too big",
    "response exceed",
    "result exceed",
    "too many logs",
    "exceeds limit",
    "limit exceeded",
    "exceeds the limit",
];

const TIMEOUT: &[&str] = &["timeout", "timed out", "deadline exceeded", "took too long"];

const REVERT: &[&str] = &[
    "revert",
    "out of gas",
    "gas required exceeds",
    "insufficient funds",
    "vm execution error",
    "invalid opcode",
    "stack underflow",
    "bad jump destination",
];

const OVERLOAD: &[&str] = &[
    "internal error",
    "server error",
    "cannot fulfill",
    "cannot fulfil ",
    "unable to perform request",
    "temporarily",
    "unavailable",
    "overloaded",
    "try again",
    "no backend",
    "bad gateway",
    "upstream",
    "connection refused",
    "connection reset",
    "syncing",
];

/// Numbers behind these words say how many blocks a range may have.
const BLOCKS_BEHIND: &[&str] = &[
    "maximum is set to ",
    "max range: ",
    "requested blocks is ",
    "limited to a ",
    "limited to ",
    "to at most ",
    "maximum block range: ",
    "max block range: ",
    "max block range ",
    "block range greater than ",
    "block range exceeds ",
    "max is ",
    "smaller than size ",
    "(maximum ",
    "up to a ",
    "blocks distance: ",
    "ranges over ",
    "exceeds server limit of ",
    "range of ",
];

/// Numbers behind these words say how many logs an answer may have.
const RESULTS_BEHIND: &[&str] = &[
    "returned more than ",
    "max results ",
    "max logs per response is ",
    "matched by query exceeds limit of ",
];

/// "The method does not exist/is not available": a code with one meaning only.
const METHOD_NOT_FOUND: i64 = -32601;

fn holds_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Names the kind of a JSON-RPC error that `method` was answered with.
pub(crate) fn classify(method: &str, code: i64, message: &str) -> ChainErrorKind {
    let text = message.to_ascii_lowercase();
    let shown = clip(&format!("{message} ({code})"));
    let asks_logs = method == "eth_getLogs";
    let executes = matches!(method, "eth_call" | "eth_estimateGas");
    let too_large =
        || ChainErrorKind::RangeTooLarge { message: shown.clone(), named: named_limits(&text) };
    if code == METHOD_NOT_FOUND {
        return ChainErrorKind::Refused(shown);
    }
    if holds_any(&text, RATE) {
        return ChainErrorKind::RateLimited(shown);
    }
    if executes && (code == 3 || holds_any(&text, REVERT)) {
        return ChainErrorKind::Reverted(shown);
    }
    if holds_any(&text, NOT_YET) {
        return ChainErrorKind::NotYet(shown);
    }
    if asks_logs && (holds_any(&text, RANGE) || holds_any(&text, TIMEOUT)) {
        // What takes too long for one range may be quick for half of it.
        return too_large();
    }
    if text.contains("limit exceeded") || code == 429 {
        return ChainErrorKind::RateLimited(shown);
    }
    if holds_any(&text, TIMEOUT) || holds_any(&text, OVERLOAD) {
        return ChainErrorKind::Unreachable(shown);
    }
    // "Limit exceeded" in words that are not known: to split a range is safe whichever limit it was.
    match code {
        -32005 if asks_logs => too_large(),
        -32005 => ChainErrorKind::RateLimited(shown),
        -32603 => ChainErrorKind::Unreachable(shown),
        _ => ChainErrorKind::Refused(shown),
    }
}

/// Names the kind of an HTTP status whose body is no JSON-RPC error.
pub(crate) fn classify_status(method: &str, status: u16, body: &str) -> ChainErrorKind {
    let shown = clip(&format!("HTTP {status} {body}"));
    match status {
        429 => ChainErrorKind::RateLimited(shown),
        413 if method == "eth_getLogs" => {
            ChainErrorKind::RangeTooLarge { message: shown, named: NamedLimits::NONE }
        }
        408 | 425 | 500..=599 => ChainErrorKind::Unreachable(shown),
        _ => ChainErrorKind::Refused(shown),
    }
}

/// How many blocks or logs the node would give, if its words name a number.
fn named_limits(text: &str) -> NamedLimits {
    let behind = |words: &[&str]| words.iter().find_map(|words| number_behind(text, words));
    let blocks_max = proposed_range(text)
        .or_else(|| behind(BLOCKS_BEHIND))
        .or_else(|| number_behind(text.split_once("for your plan (")?.1, "> "))
        .filter(|blocks| *blocks > 0);
    NamedLimits { blocks_max, results_max: behind(RESULTS_BEHIND).filter(|results| *results > 0) }
}

/// Reads `[0x10, 0x1f]` or `range 16-31` as the length of that range.
fn proposed_range(text: &str) -> Option<u64> {
    let bracketed = text.split('[').skip(1).find_map(|rest| {
        let (from, to) = rest.split_once(']')?.0.split_once(',')?;
        Some((parse_quantity(from.trim())?, parse_quantity(to.trim())?))
    });
    let dashed = || {
        let (from, rest) = text.split_once("with the range ")?.1.split_once('-')?;
        Some((from.parse().ok()?, leading_number(rest)?))
    };
    let (from, to): (u64, u64) = bracketed.or_else(dashed)?;
    to.checked_sub(from)?.checked_add(1)
}

fn number_behind(text: &str, words: &str) -> Option<u64> {
    text.match_indices(words).find_map(|(at, _)| leading_number(text.get(at + words.len()..)?))
}

/// Reads `10000`, `10,000`, `10_000` or `10k`.
fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ',' || c == '_'));
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().ok()?;
    if rest.starts_with('k') { number.checked_mul(1000) } else { Some(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: &ChainErrorKind) -> String {
        match kind {
            ChainErrorKind::Unreachable(_) => "unreachable".to_owned(),
            ChainErrorKind::RateLimited(_) => "rate".to_owned(),
            ChainErrorKind::RangeTooLarge { named, .. } => {
                let blocks = named.blocks_max.map(|blocks| format!(" {blocks}"));
                let results = named.results_max.map(|results| format!(" of {results}"));
                format!("range{}{}", blocks.unwrap_or_default(), results.unwrap_or_default())
            }
            ChainErrorKind::NotYet(_) => "not yet".to_owned(),
            ChainErrorKind::Contradiction(_) => "contradiction".to_owned(),
            ChainErrorKind::Reverted(_) => "reverted".to_owned(),
            ChainErrorKind::Refused(_) => "refused".to_owned(),
        }
    }

    const LOGS: &str = "eth_getLogs";
    const CALL: &str = "eth_call";
    const RECEIPTS: &str = "eth_getBlockReceipts";
    const BLOCK: &str = "eth_getBlockByNumber";

    #[test]
    fn ranges_and_results_that_are_too_large_are_known_by_their_words() {
        let cases: &[(i64, &str, &str)] = &[
            // Infura, zkSync.
            (
                -32005,
                "query returned more than 10000 results. Try with this block range [0x1000, 0x10ff].",
                "range 256 of 10000",
            ),
            (-32005, "query returned more than 10000 results", "range of 10000"),
            // Alchemy, paid and free.
            (
                -32602,
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x0, 0x7cf]",
                "range 2000",
            ),
            (
                -32600,
                "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x1, 0xa].",
                "range 10",
            ),
            // QuickNode, 1RPC, Blast.
            (-32614, "eth_getLogs is limited to a 10,000 range", "range 10000"),
            (-32614, "eth_getLogs and eth_newFilter are limited to a 5 blocks range", "range 5"),
            (-32000, "eth_getLogs is limited to a 10,000 blocks range", "range 10000"),
            (-32600, "exceeds the range allowed for your plan (5000 > 3000)", "range 3000"),
            (-32000, "response size should not greater than 10000000 bytes", "range"),
            // Ankr.
            (-32600, "block range is too wide", "range"),
            (-32000, "maximum [from, to] blocks distance: 1000", "range 1000"),
            // BlockPI, Chainstack, Coinbase, PublicNode, thirdweb, Cloudflare, Merkle, dRPC.
            (-32602, "eth_getLogs is limited to 1024 block range", "range 1024"),
            (-32000, "Block range limit exceeded. See more details in the docs", "range"),
            (-32000, "please limit the query to at most 1000 blocks", "range 1000"),
            (-32701, "exceed maximum block range: 50000", "range 50000"),
            (-32602, "Maximum allowed number of requested blocks is 3500", "range 3500"),
            (
                -32047,
                "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800",
                "range 800",
            ),
            (-32000, "eth_getLogs range is too large, max is 10k blocks", "range 10000"),
            (35, "ranges over 10000 blocks are not supported on freetier", "range 10000"),
            // geth, BNB nodes, erigon, Nethermind, reth, Avalanche, Arbitrum, Optimism, Moonbeam.
            (-32005, "limit exceeded", "range"),
            (-32000, "exceed maximum block range: 5000", "range 5000"),
            (-32000, "query timeout exceeded", "range"),
            (-32002, "request timed out", "range"),
            (-32602, "block range too large", "range"),
            (-32602, "query exceeds max block range 100000", "range 100000"),
            (
                -32602,
                "query exceeds max results 20000, retry with the range 100-199",
                "range 100 of 20000",
            ),
            (
                -32000,
                "requested too many blocks from 1 to 5000, maximum is set to 2048",
                "range 2048",
            ),
            (-32000, "logs matched by query exceeds limit of 10000", "range of 10000"),
            (-32020, "backend response too large", "range"),
            (-32603, "block range is too wide (maximum 1024)", "range 1024"),
            (-32000, "block range greater than 20000 max", "range 20000"),
            (-32008, "Response is too big", "range"),
            // Ankr, dRPC, llamarpc, BlastAPI, QuickNode, Chainstack, Kaia, in other words.
            (-32062, "Block range is too large", "range"),
            (
                30,
                "Request timeout on the free tier, please upgrade your tier to the paid one",
                "range",
            ),
            (-32602, "range is too large, max is 1k blocks", "range 1000"),
            (-32600, "Exceeded maximum block range: 5000", "range 5000"),
            (
                -32602,
                "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
                "range 10000",
            ),
            (
                -32000,
                "Block range limit exceeded. See more details at https://docs.chainstack.com/docs/limits",
                "range",
            ),
            (-32000, "log filter block range too wide", "range"),
            // Nethermind, Besu, erigon, geth, reth, in other words.
            (-32005, "Too many logs requested. Max logs per response is 20000.", "range of 20000"),
            (-32005, "Requested range exceeds maximum RPC range limit", "range"),
            (-32000, "query block range exceeds server limit, narrow your filter", "range"),
            (-32016, "eth_getLogs request was canceled due to enabled timeout.", "range"),
            (-32602, "block range exceeds 10000", "range 10000"),
            (-32602, "query exceeds max block range 100000", "range 100000"),
            // The same words whatever the code.
            (-32000, "query returned more than 10000 results", "range of 10000"),
            (-32602, "query returned more than 10000 results", "range of 10000"),
            (429, "query returned more than 10000 results", "range of 10000"),
            (-32000, "eth_getLogs is limited to a range of 2,000 blocks", "range 2000"),
            // Known by its code alone.
            (-32005, "sorry", "range"),
        ];
        let told = cases.iter().map(|(code, message, _)| named(&classify(LOGS, *code, message)));
        let wrong: Vec<_> =
            cases.iter().zip(told).filter(|((.., expected), told)| told != expected).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn limits_on_requests_are_known_by_their_words_whatever_was_asked() {
        let cases: &[(i64, &str)] = &[
            (-32005, "daily request count exceeded, request rate limited"),
            (-32005, "project ID request rate exceeded"),
            (429, "Your app has exceeded its compute units per second capacity."),
            (
                -32007,
                "50/second request limit reached - reduce calls per second or upgrade your account",
            ),
            (-32005, "You've exceeded the RPS limit available on the current plan."),
            (-32090, "Too many requests, reason: call rate limit exhausted, retry in 10s"),
            (-32029, "Too Many Requests"),
            (-32016, "over rate limit"),
            (-32001, "Exceeded the quota usage"),
            (-32005, "Too Many Requests"),
            (-32003, "daily request limit reached - upgrade your account"),
            (
                429,
                "Monthly capacity limit exceeded. Visit the dashboard to upgrade your scaling policy.",
            ),
            (15, "too many request, more than 110 requests per second"),
            (-32005, "rate limited, please slow down"),
            (-32016, "rate limit exceeded"),
            (-32097, "Rate limit reached, try again later or use a key of your own"),
            (-32000, "You have reached maximum request limit."),
            (-32000, "Request rate limited"),
            (-32000, "throughput limit reached"),
            (1015, "error code: 1015, you are being rate limited"),
        ];
        let is_rate = |(code, message): &&(i64, &str)| {
            [LOGS, CALL, BLOCK]
                .iter()
                .all(|method| named(&classify(method, *code, message)) == "rate")
        };
        let wrong: Vec<_> = cases.iter().filter(|case| !is_rate(case)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(named(&classify(BLOCK, -32005, "limit exceeded")), "rate");
    }

    #[test]
    fn other_refusals_are_told_apart() {
        let cases: &[(&str, i64, &str, &str)] = &[
            // Blocks that are not there: Anvil, geth, erigon, Nethermind, Besu, Avalanche.
            (
                LOGS,
                -32602,
                "BlockOutOfRangeError: block height is 1 but requested was 32",
                "not yet",
            ),
            (LOGS, -32602, "block range extends beyond current head block", "not yet"),
            (LOGS, -32000, "unknown block", "not yet"),
            (LOGS, -32000, "invalid block range params", "not yet"),
            (
                LOGS,
                -32000,
                "One of the blocks specified in filter (fromBlock, toBlock or blockHash) cannot be found.",
                "not yet",
            ),
            (CALL, -32000, "header not found", "not yet"),
            (CALL, -32000, "hash 0x12 is not currently canonical", "not yet"),
            (CALL, -32001, "Resource not found", "not yet"),
            (CALL, -32000, "missing trie node 0x12 (path ) state 0x34 is not available", "not yet"),
            (CALL, -32002, "No state available for block 0x12", "not yet"),
            (BLOCK, -32001, "block not found: 0x12", "not yet"),
            (BLOCK, -32000, "cannot query unfinalized data", "not yet"),
            (BLOCK, -39001, "Unknown block", "not yet"),
            (CALL, -32000, "header for hash not found", "not yet"),
            (LOGS, 4444, "pruned history unavailable", "not yet"),
            (CALL, -32002, "historical state 0x12 is not available", "not yet"),
            (RECEIPTS, -32000, "receipts not available for block 18", "not yet"),
            (RECEIPTS, -32000, "transaction indexing is in progress", "not yet"),
            // Contracts that refuse.
            (CALL, 3, "execution reverted: BEP20: transfer amount exceeds balance", "reverted"),
            (CALL, -32000, "execution reverted", "reverted"),
            ("eth_estimateGas", -32000, "gas required exceeds allowance (0)", "reverted"),
            ("eth_estimateGas", -32000, "insufficient funds for transfer", "reverted"),
            (CALL, -32015, "VM execution error.", "reverted"),
            // Nodes in trouble.
            (BLOCK, -32603, "Internal error", "unreachable"),
            (BLOCK, -32011, "no backend is currently healthy to serve traffic", "unreachable"),
            (BLOCK, -32000, "context deadline exceeded", "unreachable"),
            (BLOCK, -32603, "", "unreachable"),
            (BLOCK, 19, "Temporary internal error. Please retry, trace-id: 12", "unreachable"),
            (BLOCK, -32046, "Cannot fulfill request", "unreachable"),
            (BLOCK, -32603, "Unable to perform request", "unreachable"),
            // Ours to mend.
            (BLOCK, -32601, "the method eth_x does not exist/is not available", "refused"),
            (BLOCK, -32601, "Method not found", "refused"),
            (BLOCK, -32602, "invalid argument 0: hex string without 0x prefix", "refused"),
            (BLOCK, -32600, "Invalid request", "refused"),
            (BLOCK, -32000, "Unauthorized", "refused"),
            (
                LOGS,
                -32701,
                "Please specify an address in your request or, to remove restrictions, order a dedicated full node",
                "refused",
            ),
            (BLOCK, -32052, "API key is not allowed to access blockchain", "refused"),
            (LOGS, -32602, "exceed max addresses", "refused"),
        ];
        let told =
            cases.iter().map(|(method, code, message, _)| named(&classify(method, *code, message)));
        let wrong: Vec<_> =
            cases.iter().zip(told).filter(|((.., expected), told)| told != expected).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_status_without_a_json_rpc_error_has_its_meaning_too() {
        let cases: &[(&str, u16, &str)] = &[
            (BLOCK, 429, "rate"),
            (BLOCK, 503, "unreachable"),
            (BLOCK, 502, "unreachable"),
            (BLOCK, 408, "unreachable"),
            (LOGS, 413, "range"),
            (BLOCK, 413, "refused"),
            (BLOCK, 401, "refused"),
            (BLOCK, 404, "refused"),
        ];
        for (method, status, expected) in cases {
            assert_eq!(named(&classify_status(method, *status, "")), *expected, "{status}");
        }
    }
}
