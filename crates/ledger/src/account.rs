//! The chart of accounts, units and sides.
//!
//! Each account is kept once per unit: the treasury of USDT and the treasury of INSPI are two rows.

use std::{fmt, str::FromStr};

use inspay_primitives::{AccountId, AssetId, Label};

/// What a posting counts: base units of one asset, or micro-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Base units of a token.
    Token(AssetId),
    /// Micro-credits.
    Credits,
}

/// Where granted credits came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LotSource {
    /// Bought with tokens.
    Purchase,
    /// A cycle of a subscription.
    Subscription,
    /// The free plan.
    FreePlan,
    /// A promotion.
    Promotion,
    /// A prize.
    Prize,
}

/// An account of the books.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BookAccount {
    /// Tokens held by the treasury (debit balance).
    Treasury,
    /// Tokens received for orders (credit balance).
    Clearing,
    /// Tokens received that belong to nothing yet (credit balance).
    Suspense,
    /// Base units too few to buy a micro-credit, and shortfalls within the tolerance.
    Rounding,
    /// Discounts and tails given, at the order's rate (debit balance).
    Discounts,
    /// Tokens that left the treasury (debit balance).
    Withdrawn,
    /// Credits granted, by source (debit balance).
    CreditsIssued(LotSource),
    /// Credits granted by one promotion (debit balance).
    CampaignIssued(Label),
    /// Credits spent on one feature (credit balance).
    CreditsSpent(Label),
    /// Credits that lapsed (credit balance).
    CreditsExpired,
    /// Credits taken back because their payment left the chain (credit balance).
    CreditsReversed,
    /// One account's credits that are left, lapsed ones that are not booked yet included (credit balance).
    Account(AccountId),
    /// One account's credits that holds have set aside (credit balance).
    Held(AccountId),
    /// What an account owes since a payment was taken back whose credits were spent (debit balance).
    Owed(AccountId),
}

/// Which side of an account a posting goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Left.
    Debit,
    /// Right.
    Credit,
}

/// Why a stored code is no account or unit of this chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an account or unit of the chart: {0:?}")]
pub struct BookAccountError(String);

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(asset) => asset.fmt(f),
            Self::Credits => f.write_str("credits"),
        }
    }
}

impl FromStr for Unit {
    type Err = BookAccountError;

    fn from_str(text: &str) -> Result<Self, BookAccountError> {
        if text == "credits" {
            return Ok(Self::Credits);
        }
        text.parse().map(Self::Token).map_err(|_| BookAccountError(text.to_owned()))
    }
}

impl LotSource {
    /// Every source.
    pub const ALL: [Self; 5] =
        [Self::Purchase, Self::Subscription, Self::FreePlan, Self::Promotion, Self::Prize];

    /// The source as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Subscription => "subscription",
            Self::FreePlan => "free_plan",
            Self::Promotion => "promotion",
            Self::Prize => "prize",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

impl BookAccount {
    /// The account with credits whose history its postings belong to.
    #[must_use]
    pub const fn owner(&self) -> Option<&AccountId> {
        match self {
            Self::Account(owner) | Self::Held(owner) | Self::Owed(owner) => Some(owner),
            Self::Treasury
            | Self::Clearing
            | Self::Suspense
            | Self::Rounding
            | Self::Discounts
            | Self::Withdrawn
            | Self::CreditsIssued(_)
            | Self::CampaignIssued(_)
            | Self::CreditsSpent(_)
            | Self::CreditsExpired
            | Self::CreditsReversed => None,
        }
    }
}

impl fmt::Display for BookAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Treasury => f.write_str("treasury"),
            Self::Clearing => f.write_str("clearing"),
            Self::Suspense => f.write_str("suspense"),
            Self::Rounding => f.write_str("rounding"),
            Self::Discounts => f.write_str("discounts"),
            Self::Withdrawn => f.write_str("withdrawn"),
            Self::CreditsIssued(source) => write!(f, "credits_issued:{}", source.as_str()),
            Self::CampaignIssued(campaign) => write!(f, "credits_issued:promotion:{campaign}"),
            Self::CreditsSpent(feature) => write!(f, "credits_spent:{feature}"),
            Self::CreditsExpired => f.write_str("credits_expired"),
            Self::CreditsReversed => f.write_str("credits_reversed"),
            Self::Account(account) => write!(f, "account:{account}"),
            Self::Held(account) => write!(f, "held:{account}"),
            Self::Owed(account) => write!(f, "owed:{account}"),
        }
    }
}

impl FromStr for BookAccount {
    type Err = BookAccountError;

    fn from_str(text: &str) -> Result<Self, BookAccountError> {
        let unknown = || BookAccountError(text.to_owned());
        Ok(match text.split_once(':') {
            Some(("account", account)) => Self::Account(account.parse().map_err(|_| unknown())?),
            Some(("held", account)) => Self::Held(account.parse().map_err(|_| unknown())?),
            Some(("owed", account)) => Self::Owed(account.parse().map_err(|_| unknown())?),
            Some(("credits_spent", feature)) => {
                Self::CreditsSpent(feature.parse().map_err(|_| unknown())?)
            }
            Some(("credits_issued", source)) => match source.split_once(':') {
                Some(("promotion", campaign)) => {
                    Self::CampaignIssued(campaign.parse().map_err(|_| unknown())?)
                }
                Some(_) => return Err(unknown()),
                None => Self::CreditsIssued(LotSource::parse(source).ok_or_else(unknown)?),
            },
            Some(_) => return Err(unknown()),
            None => match text {
                "treasury" => Self::Treasury,
                "clearing" => Self::Clearing,
                "suspense" => Self::Suspense,
                "rounding" => Self::Rounding,
                "discounts" => Self::Discounts,
                "withdrawn" => Self::Withdrawn,
                "credits_expired" => Self::CreditsExpired,
                "credits_reversed" => Self::CreditsReversed,
                _ => return Err(unknown()),
            },
        })
    }
}

impl Side {
    /// The side as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "debit" => Some(Self::Debit),
            "credit" => Some(Self::Credit),
            _ => None,
        }
    }

    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> AccountId {
        "ann".parse().expect("an account's name")
    }

    /// As stored in every database there is: a name that changes would split a balance in two.
    #[test]
    fn every_account_of_the_chart_is_stored_by_its_name() {
        let label = |text: &str| text.parse().expect("a label");
        let chart = [
            (BookAccount::Treasury, "treasury"),
            (BookAccount::Clearing, "clearing"),
            (BookAccount::Suspense, "suspense"),
            (BookAccount::Rounding, "rounding"),
            (BookAccount::Discounts, "discounts"),
            (BookAccount::Withdrawn, "withdrawn"),
            (BookAccount::CreditsIssued(LotSource::Purchase), "credits_issued:purchase"),
            (BookAccount::CreditsIssued(LotSource::Subscription), "credits_issued:subscription"),
            (BookAccount::CreditsIssued(LotSource::FreePlan), "credits_issued:free_plan"),
            (BookAccount::CreditsIssued(LotSource::Promotion), "credits_issued:promotion"),
            (BookAccount::CreditsIssued(LotSource::Prize), "credits_issued:prize"),
            (BookAccount::CampaignIssued(label("may")), "credits_issued:promotion:may"),
            (BookAccount::CreditsSpent(label("video")), "credits_spent:video"),
            (BookAccount::CreditsExpired, "credits_expired"),
            (BookAccount::CreditsReversed, "credits_reversed"),
            (BookAccount::Account(ann()), "account:ann"),
            (BookAccount::Held(ann()), "held:ann"),
            (BookAccount::Owed(ann()), "owed:ann"),
        ];
        for (account, name) in chart {
            assert_eq!(account.to_string(), name);
            assert_eq!(name.parse(), Ok(account.clone()));
            let is_owned = name.ends_with(":ann");
            assert_eq!(account.owner(), is_owned.then(ann).as_ref(), "{name}");
        }
        for unknown in [
            "",
            "treasury:ann",
            "credits_issued",
            "credits_issued:gift",
            "credits_issued:prize:may",
        ] {
            assert!(unknown.parse::<BookAccount>().is_err(), "{unknown:?}");
        }
    }

    #[test]
    fn sides_and_units_are_stored_by_their_names() {
        for (side, name) in [(Side::Debit, "debit"), (Side::Credit, "credit")] {
            assert_eq!((side.as_str(), Side::parse(name)), (name, Some(side)));
            assert_ne!(side.opposite(), side);
        }
        assert_eq!(Side::parse("left"), None);
        let token = "eip155:1/erc20:0x00000000000000000000000000000000000a0001";
        for name in ["credits", token] {
            let unit: Unit = name.parse().expect("a unit");
            assert_eq!(unit.to_string().to_lowercase(), name);
            assert_eq!(unit == Unit::Credits, name == "credits");
        }
        assert!("points".parse::<Unit>().is_err());
    }
}
