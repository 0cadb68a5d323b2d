//! inspay-chain-evm.
