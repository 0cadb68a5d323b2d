//! A Uniswap V3 pool of INSPI and USDT, for price sources that read a time-weighted average.
//!
//! Never vendors Uniswap's code: the factory's bytecode is read from its npm package at run time.

use std::path::Path;

use alloy::{
    network::TransactionBuilder,
    primitives::{
        Bytes, I256, U512,
        aliases::{I24, U24, U160},
    },
    providers::Provider,
    rpc::types::TransactionRequest,
    sol,
};
use inspay_primitives::{Address, U256};
use serde_json::Value;

use crate::{Deployment, Devchain, DevchainError, PoolCallee, deployment::creation, toolchain};

const FACTORY: &str =
    "node_modules/@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json";
/// Enough for an observation in each of the last hundred blocks.
const OBSERVATIONS: u16 = 100;
const GAS_FACTORY: u64 = 20_000_000;
/// One above the lowest and one below the highest that Uniswap knows: no limit in effect.
const LOWEST_SQRT_PRICE: U160 = U160::from_limbs([4_295_128_740, 0, 0]);
const HIGHEST_SQRT_PRICE: U160 =
    U160::from_limbs([0x5d95_1d52_6398_8d25, 0xefd1_fc6a_5064_8849, 0xfffd_8963]);
/// The outermost tick is 887,272 on either side.
const MAX_TICK: i32 = 887_272;

sol! {
    #[sol(rpc)]
    interface UniswapV3Factory {
        function createPool(address tokenA, address tokenB, uint24 fee) external returns (address);
        function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
    }

    #[sol(rpc)]
    interface UniswapV3Pool {
        function token0() external view returns (address);
        function token1() external view returns (address);
        function tickSpacing() external view returns (int24);
        function initialize(uint160 sqrtPriceX96) external;
        function increaseObservationCardinalityNext(uint16 observationCardinalityNext) external;
        function observe(uint32[] secondsAgos) external view
            returns (int56[] tickCumulatives, uint160[] secondsPerLiquidityCumulativeX128s);
    }
}

/// A pool of INSPI and USDT, and the contract that trades in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The pool, to be asked by `observe`.
    pub address: Address,
    /// Holds tokens, adds liquidity and swaps for us.
    pub callee: Address,
    /// The token with the lower address.
    pub token0: Address,
    /// The token with the higher address.
    pub token1: Address,
}

/// The square root of a price as Uniswap V3 writes it: `sqrt(amount1 / amount0) * 2^96`, rounded
/// down. `None` where it does not fit into 160 bits or `amount0` is zero.
#[must_use]
pub fn sqrt_price_x96(amount0: U256, amount1: U256) -> Option<U160> {
    if amount0.is_zero() {
        return None;
    }
    let ratio: U512 = (U512::from(amount1) << 192) / U512::from(amount0);
    U160::checked_from_limbs_slice(ratio.root(2).as_limbs())
}

/// Contracts beyond our own.
impl Devchain {
    /// Deploys the contract of an npm package's artifact, whose path is relative to the contracts
    /// folder, with its constructor's encoded arguments. With mining on arrival it returns once
    /// the contract is there.
    ///
    /// # Errors
    ///
    /// When the file is no artifact, or as [`Devchain::send`].
    pub async fn deploy_json(
        &self,
        artifact: &Path,
        arguments: &[u8],
    ) -> Result<Address, DevchainError> {
        let folder = toolchain::contracts_folder()?;
        let path = folder.join(artifact);
        let text = tokio::fs::read_to_string(&path).await.map_err(|source| {
            DevchainError::Read { path: path.clone(), folder: folder.clone(), source }
        })?;
        let refuse = |reason: String| DevchainError::Artifact { path: path.clone(), reason };
        let json: Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        // Hardhat writes the code as a text, solc and Foundry as an object around it.
        let code = json.get("bytecode").map(|code| code.get("object").unwrap_or(code));
        let code = code.and_then(Value::as_str).ok_or_else(|| refuse("no bytecode".to_owned()))?;
        let code: Bytes = code.parse().map_err(|_| refuse("bytecode is not hex".to_owned()))?;
        self.deploy_code(&creation(&code, arguments)).await
    }

    pub(crate) async fn deploy_code(&self, code: &Bytes) -> Result<Address, DevchainError> {
        let deployer = self.deployment().deployer;
        let nonce = self.provider().get_transaction_count(deployer).pending().await?;
        let request = TransactionRequest::default()
            .with_from(deployer)
            .gas_limit(GAS_FACTORY)
            .with_deploy_code(code.clone());
        self.send(request).await?;
        Ok(deployer.create(nonce))
    }

    /// The square-root price of `inspi` base units being worth `usdt` base units, whichever of the
    /// two tokens the pool puts first.
    #[must_use]
    pub fn pool_price(&self, inspi: U256, usdt: U256) -> Option<U160> {
        if self.deployment().inspi < self.deployment().usdt {
            sqrt_price_x96(inspi, usdt)
        } else {
            sqrt_price_x96(usdt, inspi)
        }
    }

    /// Deploys a factory and a pool at the given price that remembers a hundred observations. It
    /// answers `observe` from then on; liquidity is only needed to move the price. Needs mining on
    /// arrival.
    ///
    /// # Errors
    ///
    /// When the npm package is not installed, or as [`Devchain::send`].
    pub async fn uniswap_v3_pool(
        &self,
        fee: u32,
        sqrt_price_x96: U160,
    ) -> Result<Pool, DevchainError> {
        let Deployment { deployer, inspi, usdt, .. } = *self.deployment();
        let factory = self.deploy_json(Path::new(FACTORY), &[]).await?;
        let fee = U24::saturating_from(fee);
        let create = UniswapV3Factory::createPoolCall { tokenA: inspi, tokenB: usdt, fee };
        self.call_contract(deployer, factory, &create).await?;
        let factory = UniswapV3Factory::new(factory, self.provider());
        let address = factory.getPool(inspi, usdt, fee).call().await?;
        let initialize = UniswapV3Pool::initializeCall { sqrtPriceX96: sqrt_price_x96 };
        self.call_contract(deployer, address, &initialize).await?;
        let remember = UniswapV3Pool::increaseObservationCardinalityNextCall {
            observationCardinalityNext: OBSERVATIONS,
        };
        self.call_contract(deployer, address, &remember).await?;
        let callee = self.deploy_code(&PoolCallee::BYTECODE).await?;
        let (token0, token1) = if inspi < usdt { (inspi, usdt) } else { (usdt, inspi) };
        Ok(Pool { address, callee, token0, token1 })
    }

    /// Hands the pool's contract tokens to add liquidity and to swap with.
    ///
    /// # Errors
    ///
    /// As [`Devchain::send`].
    pub async fn fill_pool(
        &self,
        pool: &Pool,
        token: Address,
        base_units: U256,
    ) -> Result<(), DevchainError> {
        let deployer = self.deployment().deployer;
        self.transfer(token, deployer, pool.callee, base_units, None).await?;
        Ok(())
    }

    /// Adds liquidity over the whole range out of what [`Self::fill_pool`] handed over.
    ///
    /// # Errors
    ///
    /// As [`Devchain::send`].
    pub async fn add_liquidity(&self, pool: &Pool, liquidity: u128) -> Result<(), DevchainError> {
        let spacing =
            UniswapV3Pool::new(pool.address, self.provider()).tickSpacing().call().await?;
        let spacing = spacing.as_i32();
        let outermost = I24::try_from(MAX_TICK / spacing * spacing).unwrap_or(I24::MAX);
        let mint = PoolCallee::mintCall {
            pool: pool.address,
            tickLower: -outermost,
            tickUpper: outermost,
            liquidity,
        };
        self.call_contract(self.deployment().deployer, pool.callee, &mint).await?;
        Ok(())
    }

    /// Sells `base_units` of `token` to the pool, which moves its price from this block's time on.
    ///
    /// # Errors
    ///
    /// As [`Devchain::send`].
    pub async fn swap(
        &self,
        pool: &Pool,
        token: Address,
        base_units: U256,
    ) -> Result<(), DevchainError> {
        let zero_for_one = token == pool.token0;
        let limit = if zero_for_one { LOWEST_SQRT_PRICE } else { HIGHEST_SQRT_PRICE };
        let swap = PoolCallee::swapCall {
            pool: pool.address,
            zeroForOne: zero_for_one,
            amountSpecified: I256::from_raw(base_units),
            sqrtPriceLimitX96: limit,
        };
        self.call_contract(self.deployment().deployer, pool.callee, &swap).await?;
        Ok(())
    }

    /// What the pool's oracle says: the tick accumulators `seconds_ago` and now. Their difference
    /// divided by the seconds is the mean tick.
    ///
    /// # Errors
    ///
    /// When the pool is younger than that.
    pub async fn tick_accumulators(
        &self,
        pool: &Pool,
        seconds_ago: u32,
    ) -> Result<(i64, i64), DevchainError> {
        let contract = UniswapV3Pool::new(pool.address, self.provider());
        let answer = contract.observe(vec![seconds_ago, 0]).call().await?;
        let at = |index: usize| answer.tickCumulatives.get(index).map_or(0, |tick| tick.as_i64());
        Ok((at(0), at(1)))
    }
}
