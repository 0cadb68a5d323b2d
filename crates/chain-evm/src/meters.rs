//! What the endpoints are counted and shown by.

use inspay_primitives::ChainId;

use crate::endpoint::EndpointView;

fn gauge_value(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Counts a quarantine.
pub(crate) fn quarantined(chain_id: ChainId, host: &str) {
    metrics::counter!(
        "inspay_rpc_endpoint_quarantines_total",
        "chain" => chain_id.to_string(), "endpoint" => host.to_owned()
    )
    .increment(1);
}

/// Publishes how the endpoints are doing.
pub(crate) fn endpoints(chain_id: ChainId, views: &[EndpointView]) {
    let highest = views.iter().map(|view| view.head).max().unwrap_or_default();
    for view in views {
        let labels = [("chain", chain_id.to_string()), ("endpoint", view.host.clone())];
        let is_quarantined =
            view.doubt.as_ref().is_some_and(|doubt| doubt.quarantined_for.is_some());
        metrics::gauge!("inspay_rpc_endpoint_head_number", &labels).set(gauge_value(view.head));
        metrics::gauge!("inspay_rpc_endpoint_lag_blocks", &labels)
            .set(gauge_value(highest.saturating_sub(view.head)));
        metrics::gauge!("inspay_rpc_endpoint_resting", &labels).set(u32::from(view.resting));
        metrics::gauge!("inspay_rpc_endpoint_doubted", &labels)
            .set(u32::from(view.doubt.is_some()));
        metrics::gauge!("inspay_rpc_endpoint_quarantined", &labels).set(u32::from(is_quarantined));
        metrics::gauge!("inspay_rpc_endpoint_failures", &labels).set(gauge_value(view.errors));
        // Zero: it has never refused for being asked too often.
        metrics::gauge!("inspay_rpc_endpoint_calls_per_minute", &labels)
            .set(gauge_value(view.calls_per_minute.unwrap_or_default()));
    }
}
