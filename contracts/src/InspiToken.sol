// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// INSPI: a plain ERC-20 with 18 decimals and EIP-2612 permits. The supply is fixed at birth.
contract InspiToken is ERC20, ERC20Permit {
    constructor(address owner, uint256 supply) ERC20("Inspi", "INSPI") ERC20Permit("Inspi") {
        _mint(owner, supply);
    }
}
