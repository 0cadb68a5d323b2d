//! Where everything is on the local chain, and putting it there.
//!
//! Addresses follow from the deployer's nonces alone, so they are the same on every start and are
//! never stored.

use alloy::{
    network::TransactionBuilder,
    primitives::{Bytes, address},
    providers::{DynProvider, ext::AnvilApi},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolConstructor},
};
use inspay_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use crate::{
    DevchainError, FakeToken, InspiToken, Multisend, PriceFeed, TetherToken,
    acts::{self, GAS_DEPLOY},
};

/// The address that is paid. Its last bytes read "inspay treasury"; nobody has a key for it.
pub const TREASURY: Address = address!("0x0000000000696e73706179207472656173757279");

/// The first answer of the INSPI feed: five cents at 8 decimals.
pub const INITIAL_INSPI_PRICE: i128 = 5_000_000;

/// The first answer of the USDT feed: one dollar at 8 decimals.
pub const INITIAL_USDT_PRICE: i128 = 100_000_000;

/// Dev accounts that Anvil makes and unlocks: the deployer, ten buyers, a stranger.
pub(crate) const ACCOUNTS: usize = 12;
/// The id that Anvil gives a chain unless told otherwise.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// The accounts that Anvil makes on every start.
const DEV_ACCOUNTS: [Address; ACCOUNTS] = [
    address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("0x90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("0x976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
    address!("0xBcd4042DE499D14e55001CcbB24a551F3b954096"),
    address!("0x71bE63f3384f5fb98995898A86B02Fb2426c5788"),
];
const BUYERS: std::ops::RangeInclusive<usize> = 1..=10;
const STRANGER: usize = 11;

const FEED_DECIMALS: u8 = 8;
const INSPI_DECIMALS: usize = 18;
const USDT_DECIMALS: usize = 6;
const SUPPLY: u64 = 1_000_000_000;
const INSPI_PER_BUYER: u64 = 1_000_000;
const USDT_PER_BUYER: u64 = 100_000;

/// What is where on the local chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// JSON-RPC over HTTP.
    pub http_url: String,
    /// JSON-RPC over WebSocket.
    pub ws_url: String,
    /// INSPI, 18 decimals.
    pub inspi: Address,
    /// The USDT look-alike with the original's quirks, 6 decimals.
    pub usdt: Address,
    /// INSPI in dollars, 8 decimals.
    pub inspi_feed: Address,
    /// USDT in dollars, 8 decimals.
    pub usdt_feed: Address,
    /// Pays many at once.
    pub multisend: Address,
    /// A worthless token that calls itself USDT.
    pub fake_usdt: Address,
    /// The address that is paid; it has no key.
    pub treasury: Address,
    /// Owns the supply of both tokens, the switches of USDT, and every deployment.
    pub deployer: Address,
    /// Ten accounts with INSPI, USDT and the chain's coin.
    pub buyers: Vec<Address>,
    /// An account with the chain's coin and no tokens.
    pub stranger: Address,
}

impl Deployment {
    /// Derives every address from the dev accounts.
    ///
    /// `accounts` are Anvil's, in its order; there are [`ACCOUNTS`] of them.
    pub(crate) fn derive(chain_id: u64, port: u16, accounts: &[Address]) -> Option<Self> {
        let deployer = *accounts.first()?;
        Some(Self::at(
            chain_id,
            port,
            deployer,
            accounts.get(BUYERS)?.to_vec(),
            *accounts.get(STRANGER)?,
        ))
    }

    /// Where everything is on a local chain with the usual id that listens on `port`, whether it runs or not.
    #[must_use]
    pub fn local(port: u16) -> Self {
        let [deployer, buyers @ .., stranger] = DEV_ACCOUNTS;
        Self::at(CHAIN_ID, port, deployer, buyers.to_vec(), stranger)
    }

    fn at(
        chain_id: u64,
        port: u16,
        deployer: Address,
        buyers: Vec<Address>,
        stranger: Address,
    ) -> Self {
        Self {
            chain_id,
            http_url: format!("http://127.0.0.1:{port}"),
            ws_url: format!("ws://127.0.0.1:{port}"),
            inspi: deployer.create(0),
            usdt: deployer.create(1),
            inspi_feed: deployer.create(2),
            usdt_feed: deployer.create(3),
            multisend: deployer.create(4),
            fake_usdt: deployer.create(5),
            treasury: TREASURY,
            deployer,
            buyers,
            stranger,
        }
    }

    /// Puts the contracts on a chain that has only its genesis block, in two blocks, and funds the
    /// buyers. Mining must be on demand.
    pub(crate) async fn deploy(&self, provider: &DynProvider) -> Result<(), DevchainError> {
        let mut sent = Vec::new();
        for code in self.creations() {
            let request = TransactionRequest::default()
                .from(self.deployer)
                .gas_limit(GAS_DEPLOY)
                .with_deploy_code(code);
            sent.push(acts::submit(provider, request).await?);
        }
        provider.anvil_mine(Some(1), None).await?;
        for (to, data) in self.funding() {
            let request = TransactionRequest::default()
                .from(self.deployer)
                .to(to)
                .gas_limit(GAS_DEPLOY)
                .input(data.into());
            sent.push(acts::submit(provider, request).await?);
        }
        provider.anvil_mine(Some(1), None).await?;
        for hash in sent {
            acts::mined(provider, hash).await?;
        }
        Ok(())
    }

    /// In the order of the nonces that [`Self::derive`] counts.
    fn creations(&self) -> [Bytes; 6] {
        let feed = |description: &str, answer: i128| {
            let arguments = PriceFeed::constructorCall {
                decimals_: FEED_DECIMALS,
                description_: description.to_owned(),
                answer: acts::signed(answer),
            };
            creation(&PriceFeed::BYTECODE, &arguments.abi_encode())
        };
        let inspi = InspiToken::constructorCall {
            owner: self.deployer,
            supply: whole(SUPPLY, INSPI_DECIMALS),
        };
        let usdt = TetherToken::constructorCall {
            owner_: self.deployer,
            supply: whole(SUPPLY, USDT_DECIMALS),
        };
        [
            creation(&InspiToken::BYTECODE, &inspi.abi_encode()),
            creation(&TetherToken::BYTECODE, &usdt.abi_encode()),
            feed("INSPI / USD", INITIAL_INSPI_PRICE),
            feed("USDT / USD", INITIAL_USDT_PRICE),
            Multisend::BYTECODE.clone(),
            FakeToken::BYTECODE.clone(),
        ]
    }

    fn funding(&self) -> [(Address, Bytes); 3] {
        let buyers = U256::from(self.buyers.len());
        let inspi_share = whole(INSPI_PER_BUYER, INSPI_DECIMALS);
        let usdt_share = whole(USDT_PER_BUYER, USDT_DECIMALS);
        let shares = [(self.inspi, inspi_share), (self.usdt, usdt_share)];
        let payments = self.buyers.iter().flat_map(|buyer| {
            shares.map(|(token, value)| Multisend::Payment { token, to: *buyer, value })
        });
        let pay = Multisend::payHeldCall { payments: payments.collect() };
        let fill = |value| acts::transfer_input(self.multisend, value, None);
        [
            (self.inspi, fill(inspi_share * buyers)),
            (self.usdt, fill(usdt_share * buyers)),
            (self.multisend, pay.abi_encode().into()),
        ]
    }
}

/// Creation bytecode followed by the constructor's encoded arguments.
pub(crate) fn creation(code: &Bytes, arguments: &[u8]) -> Bytes {
    [code, arguments].concat().into()
}

/// A number of whole tokens in base units.
fn whole(tokens: u64, decimals: usize) -> U256 {
    U256::from(tokens) * U256::from(10).pow(U256::from(decimals))
}
