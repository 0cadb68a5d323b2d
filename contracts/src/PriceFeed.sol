// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A price feed with the shape of Chainlink's AggregatorV3Interface whose answer and age are set by
/// whoever asks. It never refuses an answer: zero, negative and stale ones are the point.
contract PriceFeed {
    struct Round {
        int256 answer;
        uint256 updatedAt;
    }

    uint8 public immutable decimals;
    uint256 public constant version = 4;
    string public description;
    uint80 public latestRound;
    mapping(uint80 => Round) private rounds;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    constructor(uint8 decimals_, string memory description_, int256 answer) {
        decimals = decimals_;
        description = description_;
        _set(answer, block.timestamp);
    }

    /// A new answer as of now.
    function setAnswer(int256 answer) external {
        _set(answer, block.timestamp);
    }

    /// A new answer as of another time.
    function setAnswerAt(int256 answer, uint256 updatedAt) external {
        _set(answer, updatedAt);
    }

    function getRoundData(uint80 id) public view returns (uint80, int256, uint256, uint256, uint80) {
        Round memory round = rounds[id];
        require(id > 0 && id <= latestRound, "No data present");
        return (id, round.answer, round.updatedAt, round.updatedAt, id);
    }

    function latestRoundData()
        external
        view
        returns (
            uint80 roundId,
            int256 answer,
            uint256 startedAt,
            uint256 updatedAt,
            uint80 answeredInRound
        )
    {
        return getRoundData(latestRound);
    }

    function _set(int256 answer, uint256 updatedAt) private {
        latestRound += 1;
        rounds[latestRound] = Round(answer, updatedAt);
        emit AnswerUpdated(answer, latestRound, updatedAt);
    }
}
