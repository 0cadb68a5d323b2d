// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A worthless look-alike of USDT: same name, symbol and decimals, free for everybody to mint, and
/// willing to log transfers that never happened.
contract FakeToken is ERC20 {
    constructor() ERC20("Tether USD", "USDT") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 value) external {
        _mint(to, value);
    }

    /// Logs a transfer without moving anything.
    function forge(address from, address to, uint256 value) external {
        emit Transfer(from, to, value);
    }
}
