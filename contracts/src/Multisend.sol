// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Pays many in one transaction, also in tokens that return nothing. Either all are paid or none.
contract Multisend {
    using SafeERC20 for IERC20;

    struct Payment {
        IERC20 token;
        address to;
        uint256 value;
    }

    /// Pays out of the caller's tokens, by allowance.
    function pay(Payment[] calldata payments) external {
        for (uint256 i = 0; i < payments.length; i++) {
            payments[i].token.safeTransferFrom(msg.sender, payments[i].to, payments[i].value);
        }
    }

    /// Pays out of the tokens held here, as an exchange's shared wallet does.
    function payHeld(Payment[] calldata payments) external {
        for (uint256 i = 0; i < payments.length; i++) {
            payments[i].token.safeTransfer(payments[i].to, payments[i].value);
        }
    }

    /// Pays `count` times out of the tokens held here: `first`, `first + 1`, and so on.
    function payMany(IERC20 token, address to, uint256 first, uint256 count) external {
        for (uint256 i = 0; i < count; i++) {
            token.safeTransfer(to, first + i);
        }
    }
}
