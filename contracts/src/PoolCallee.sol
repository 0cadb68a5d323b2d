// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IPool {
    function token0() external view returns (IERC20);
    function token1() external view returns (IERC20);
    function mint(
        address recipient,
        int24 tickLower,
        int24 tickUpper,
        uint128 amount,
        bytes calldata data
    ) external returns (uint256 amount0, uint256 amount1);
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}

/// Adds liquidity to a Uniswap V3 pool and swaps in it, out of the tokens held here. Whoever asks
/// may take them: it is for test chains and never holds anything of value.
contract PoolCallee {
    using SafeERC20 for IERC20;

    function mint(IPool pool, int24 tickLower, int24 tickUpper, uint128 liquidity)
        external
        returns (uint256 amount0, uint256 amount1)
    {
        return pool.mint(address(this), tickLower, tickUpper, liquidity, "");
    }

    function swap(IPool pool, bool zeroForOne, int256 amountSpecified, uint160 sqrtPriceLimitX96)
        external
        returns (int256 amount0, int256 amount1)
    {
        return pool.swap(address(this), zeroForOne, amountSpecified, sqrtPriceLimitX96, "");
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        if (owed0 > 0) IPool(msg.sender).token0().safeTransfer(msg.sender, owed0);
        if (owed1 > 0) IPool(msg.sender).token1().safeTransfer(msg.sender, owed1);
    }

    function uniswapV3SwapCallback(int256 delta0, int256 delta1, bytes calldata) external {
        if (delta0 > 0) IPool(msg.sender).token0().safeTransfer(msg.sender, uint256(delta0));
        if (delta1 > 0) IPool(msg.sender).token1().safeTransfer(msg.sender, uint256(delta1));
    }
}
