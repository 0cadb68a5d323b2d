//! What a wallet needs to pay: calldata, a wallet call and an ERC-681 link.
//!
//! Never signs and never sends: it only writes down the very transfer that is expected.

use inspay_primitives::{Address, AssetId, Reference, U256};

/// `transfer(address,uint256)`.
const TRANSFER_SELECTOR: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// The calldata of the payment: an ERC-20 transfer with the order's reference behind it.
///
/// A token ignores what follows its two arguments; the follower reads it where the chain
/// transaction calls the token directly.
#[must_use]
pub fn transfer_calldata(treasury: Address, base_units: U256, reference: Reference) -> Vec<u8> {
    let mut calldata = Vec::with_capacity(84);
    calldata.extend_from_slice(&TRANSFER_SELECTOR);
    calldata.extend_from_slice(&[0; 12]);
    calldata.extend_from_slice(treasury.as_slice());
    calldata.extend_from_slice(&base_units.to_be_bytes::<32>());
    calldata.extend_from_slice(&reference.bytes());
    calldata
}

/// The same transfer as a link that wallets open. It carries no reference: the exact amount names the order.
#[must_use]
pub fn payment_link(asset: AssetId, treasury: Address, base_units: U256) -> String {
    let (token, chain) = (asset.contract, asset.chain_id);
    format!("ethereum:{token}@{chain}/transfer?address={treasury}&uint256={base_units}")
}

#[cfg(test)]
mod tests {
    use inspay_primitives::ChainId;

    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().expect("a reference")
    }

    #[test]
    fn calldata_is_a_transfer_with_the_reference_behind_it() {
        let cases = [
            (
                "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
                U256::from(9_989_731),
                "0x00112233445566778899aabbccddeeff",
                "a9059cbb\
                 00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8\
                 0000000000000000000000000000000000000000000000000000000000986e63\
                 00112233445566778899aabbccddeeff",
            ),
            (
                "0xffffffffffffffffffffffffffffffffffffffff",
                U256::MAX,
                "0xffffffffffffffffffffffffffffffff",
                "a9059cbb\
                 000000000000000000000000ffffffffffffffffffffffffffffffffffffffff\
                 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                 ffffffffffffffffffffffffffffffff",
            ),
            (
                "0x0000000000000000000000000000000000000000",
                U256::ZERO,
                "0x00000000000000000000000000000000",
                "a9059cbb\
                 0000000000000000000000000000000000000000000000000000000000000000\
                 0000000000000000000000000000000000000000000000000000000000000000\
                 00000000000000000000000000000000",
            ),
        ];
        for (treasury, base_units, named, expected) in cases {
            let treasury = treasury.parse().expect("an address");
            let calldata = transfer_calldata(treasury, base_units, reference(named));
            assert_eq!(hex::encode(&calldata), expected);
            assert_eq!(calldata.len(), 84);
        }
    }

    #[test]
    fn the_link_names_token_chain_treasury_and_base_units() {
        let asset = AssetId {
            chain_id: ChainId(31_337),
            contract: "0x5fbdb2315678afecb367f032d93f642f64180aa3".parse().expect("an address"),
        };
        let treasury = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8".parse().expect("an address");
        assert_eq!(
            payment_link(asset, treasury, U256::from(9_989_731)),
            "ethereum:0x5FbDB2315678afecb367f032d93F642f64180aa3@31337/transfer\
             ?address=0x70997970C51812dc3A010C7d01b50e0d17dc79C8&uint256=9989731"
        );
    }
}
