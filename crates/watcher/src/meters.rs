//! What the follower counts and shows.

use std::collections::BTreeMap;

use inspay_ports::AssetHalt;
use inspay_primitives::{AssetId, ChainId};

use crate::{audit::PairKey, status::FollowStatus};

fn gauge_value(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Publishes where the follower stands.
pub(crate) fn standing(status: &FollowStatus) {
    let chain = status.chain_id.to_string();
    if let Some(head_number) = status.head_number {
        metrics::gauge!("inspay_chain_head_number", "chain" => chain.clone())
            .set(gauge_value(head_number));
    }
    if let Some(tip) = status.tip {
        metrics::gauge!("inspay_follow_tip_number", "chain" => chain.clone())
            .set(gauge_value(tip.number));
        metrics::gauge!("inspay_follow_audited_number", "chain" => chain.clone())
            .set(gauge_value(status.audited_to));
    }
    metrics::gauge!("inspay_follow_lag_blocks", "chain" => chain.clone())
        .set(gauge_value(status.lag_blocks));
    metrics::gauge!("inspay_follow_stalled", "chain" => chain.clone())
        .set(u32::from(status.stalled.is_some()));
    metrics::gauge!("inspay_follow_halted", "chain" => chain)
        .set(u32::from(status.halted.is_some()));
}

/// Counts a commit near the head.
pub(crate) fn committed(chain_id: ChainId, added: usize, transfers: usize, orphaned: usize) {
    let chain = chain_id.to_string();
    metrics::counter!("inspay_follow_commits_total", "chain" => chain.clone()).increment(1);
    metrics::counter!("inspay_follow_blocks_total", "chain" => chain.clone())
        .increment(count(added));
    metrics::counter!("inspay_follow_transfers_total", "chain" => chain.clone())
        .increment(count(transfers));
    if orphaned > 0 {
        metrics::counter!("inspay_follow_reorgs_total", "chain" => chain.clone()).increment(1);
        metrics::histogram!("inspay_follow_reorg_depth_blocks", "chain" => chain)
            .record(gauge_value(count(orphaned)));
    }
}

/// Counts a commit of a range.
pub(crate) fn range_committed(chain_id: ChainId, transfers: usize) {
    let chain = chain_id.to_string();
    metrics::counter!("inspay_follow_commits_total", "chain" => chain.clone()).increment(1);
    metrics::counter!("inspay_follow_transfers_total", "chain" => chain)
        .increment(count(transfers));
}

/// Counts an answer to a range request, refusals included.
pub(crate) fn range_answered(chain_id: ChainId) {
    metrics::counter!("inspay_follow_range_answers_total", "chain" => chain_id.to_string())
        .increment(1);
}

/// Counts a range that was asked of a second endpoint, by what came of it.
pub(crate) fn second_pass(chain_id: ChainId, found: &'static str) {
    metrics::counter!("inspay_follow_second_passes_total", "chain" => chain_id.to_string(), "found" => found)
        .increment(1);
}

/// Counts a block that was read again since the books differed.
pub(crate) fn read_again(chain_id: ChainId) {
    metrics::counter!("inspay_follow_blocks_read_again_total", "chain" => chain_id.to_string())
        .increment(1);
}

/// Shows of which assets nothing is credited, and why; what was shown before is shown to be over.
pub(crate) fn halts(
    chain_id: ChainId,
    symbol_of: impl Fn(AssetId) -> String,
    before: &BTreeMap<PairKey, AssetHalt>,
    after: &BTreeMap<PairKey, AssetHalt>,
) {
    let show = |halt: &AssetHalt, is_halted: bool| {
        metrics::gauge!(
            "inspay_asset_halted",
            "chain" => chain_id.to_string(),
            "asset" => symbol_of(halt.asset),
            "treasury" => halt.treasury.to_string(),
            "why" => halt.why.clone()
        )
        .set(u32::from(is_halted));
    };
    before.values().for_each(|halt| show(halt, false));
    after.values().for_each(|halt| show(halt, true));
}

/// Counts a step that failed.
pub(crate) fn failed(chain_id: ChainId, code: &'static str) {
    metrics::counter!("inspay_follow_failures_total", "chain" => chain_id.to_string(), "reason" => code)
        .increment(1);
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
