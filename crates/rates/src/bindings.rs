//! The calls made to feeds and pools, and how their failures are told apart.

use alloy::{contract::Error, sol};
use inspay_ports::RateSourceErrorKind;

sol! {
    #[sol(rpc)]
    interface IAggregator {
        function decimals() external view returns (uint8);
        function latestRoundData() external view returns (
            uint80 roundId,
            int256 answer,
            uint256 startedAt,
            uint256 updatedAt,
            uint80 answeredInRound
        );
    }

    #[sol(rpc)]
    interface IPool {
        function token0() external view returns (address);
        function token1() external view returns (address);
        function observe(uint32[] secondsAgos) external view returns (
            int56[] tickCumulatives,
            uint160[] secondsPerLiquidityCumulativeX128s
        );
    }
}

/// A node that answered with an error refused; one that did not answer cannot be reached; an answer
/// of another shape is malformed.
pub(crate) fn call_failure(error: &Error) -> RateSourceErrorKind {
    let text = without_urls(&error.to_string());
    match error {
        Error::TransportError(transport) if transport.as_error_resp().is_some() => {
            RateSourceErrorKind::Refused(text)
        }
        Error::TransportError(_) | Error::PendingTransactionError(_) => {
            RateSourceErrorKind::Unreachable(text)
        }
        Error::UnknownFunction(_)
        | Error::UnknownSelector(_)
        | Error::NotADeploymentTransaction
        | Error::ContractNotDeployed
        | Error::ZeroData(..)
        | Error::AbiError(_) => RateSourceErrorKind::Malformed(text),
    }
}

/// An endpoint's URL may carry a key, and failures are shown to people.
fn without_urls(text: &str) -> String {
    let hide = |word: &str| {
        if word.contains("://") { "<url>".to_owned() } else { word.to_owned() }
    };
    text.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_do_not_leave_with_a_failure() {
        let text = "error sending request for url (http://node/v1/secret) after 3 s";
        assert_eq!(without_urls(text), "error sending request for url <url> after 3 s");
    }
}
