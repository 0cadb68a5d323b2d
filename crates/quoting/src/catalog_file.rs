//! Reading a catalog from TOML: every error names its setting.
//!
//! Never fills in a price, a percentage or a bound that the text does not give.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use inspay_primitives::{Credits, Timestamp, Usd, parse_units};
use serde::Deserialize;

use crate::{
    AssetDiscount, Catalog, CatalogError, CatalogErrorKind, CustomAmount, DiscountKind, HolderTier,
    Pack, Promotion, QuoteTerms, VolumeTier,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    list_price_per_credit_usd: String,
    packs: Vec<PackFile>,
    custom: CustomFile,
    #[serde(default)]
    volume_tiers: Vec<VolumeTierFile>,
    #[serde(default)]
    promotions: Vec<PromotionFile>,
    #[serde(default)]
    asset_discounts: Vec<AssetDiscountFile>,
    stacking: StackingFile,
    terms: TermsFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    id: String,
    name: String,
    credits: String,
    list_price_usd: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomFile {
    min_credits: String,
    max_credits: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeTierFile {
    from_credits: String,
    percent: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromotionFile {
    code: String,
    percent: String,
    starts: String,
    ends: String,
    min_credits: Option<String>,
    cap_usd: Option<String>,
    #[serde(default)]
    assets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssetDiscountFile {
    symbol: String,
    percent: String,
    #[serde(default)]
    holder_tiers: Vec<HolderTierFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderTierFile {
    from_tokens: String,
    percent: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StackingFile {
    order: Vec<DiscountKind>,
    cap_percent: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsFile {
    quote_lifetime_seconds: u32,
    order_deadline_seconds: u32,
    order_grace_seconds: u32,
    credits_valid_days: u16,
    tolerance_usd: String,
    cent_usd: String,
}

type Checked<T> = Result<T, CatalogError>;

fn error(setting: &str, kind: CatalogErrorKind) -> CatalogError {
    CatalogError { setting: setting.to_owned(), kind }
}

fn read<T: FromStr<Err: Display>>(setting: &str, text: &str) -> Checked<T> {
    text.parse()
        .map_err(|source: T::Err| error(setting, CatalogErrorKind::Malformed(source.to_string())))
}

fn positive<T: PartialOrd + Default>(setting: &str, value: T) -> Checked<T> {
    if value > T::default() {
        Ok(value)
    } else {
        Err(error(setting, CatalogErrorKind::NotPositive))
    }
}

fn read_positive<T>(setting: &str, text: &str) -> Checked<T>
where
    T: FromStr<Err: Display> + PartialOrd + Default,
{
    positive(setting, read(setting, text)?)
}

fn no_duplicates<T: Ord + Display>(setting: &str, values: impl Iterator<Item = T>) -> Checked<()> {
    let mut seen = BTreeSet::new();
    for value in values {
        if seen.contains(&value) {
            return Err(error(setting, CatalogErrorKind::Duplicate(value.to_string())));
        }
        seen.insert(value);
    }
    Ok(())
}

impl Catalog {
    /// Reads and checks a catalog; the first setting that is wrong is named.
    pub fn parse(toml: &str) -> Result<Self, CatalogError> {
        let file: CatalogFile = toml::from_str(toml)
            .map_err(|source| error("file", CatalogErrorKind::Toml(source.to_string())))?;
        let catalog = Self {
            list_price_per_credit: read_positive(
                "list_price_per_credit_usd",
                &file.list_price_per_credit_usd,
            )?,
            packs: packs(&file.packs)?,
            custom: custom(&file.custom)?,
            volume_tiers: volume_tiers(&file.volume_tiers)?,
            promotions: promotions(&file.promotions)?,
            asset_discounts: asset_discounts(&file.asset_discounts)?,
            discount_cap: read("stacking.cap_percent", &file.stacking.cap_percent)?,
            stacking: stacking(file.stacking.order)?,
            quote_lifetime_seconds: positive(
                "terms.quote_lifetime_seconds",
                file.terms.quote_lifetime_seconds,
            )?,
            terms: terms(&file.terms)?,
        };
        Ok(catalog)
    }
}

fn packs(files: &[PackFile]) -> Checked<Vec<Pack>> {
    let read_pack = |(index, file): (usize, &PackFile)| {
        let at = |key: &str| format!("packs[{index}].{key}");
        if file.name.trim().is_empty() {
            let kind = CatalogErrorKind::Bound("a name that people can read".to_owned());
            return Err(error(&at("name"), kind));
        }
        Ok(Pack {
            id: read(&at("id"), &file.id)?,
            name: file.name.clone(),
            credits: read_positive(&at("credits"), &file.credits)?,
            list_price: read_positive(&at("list_price_usd"), &file.list_price_usd)?,
        })
    };
    let packs: Vec<Pack> = files.iter().enumerate().map(read_pack).collect::<Checked<_>>()?;
    no_duplicates("packs.id", packs.iter().map(|pack| &pack.id))?;
    Ok(packs)
}

fn custom(file: &CustomFile) -> Checked<CustomAmount> {
    let min_credits: Credits = read_positive("custom.min_credits", &file.min_credits)?;
    let max_credits: Credits = read("custom.max_credits", &file.max_credits)?;
    if max_credits < min_credits {
        let kind = CatalogErrorKind::Bound("at least custom.min_credits".to_owned());
        return Err(error("custom.max_credits", kind));
    }
    Ok(CustomAmount { min_credits, max_credits })
}

fn volume_tiers(files: &[VolumeTierFile]) -> Checked<Vec<VolumeTier>> {
    let read_tier = |(index, file): (usize, &VolumeTierFile)| {
        let at = |key: &str| format!("volume_tiers[{index}].{key}");
        Ok(VolumeTier {
            from_credits: read(&at("from_credits"), &file.from_credits)?,
            percent: read(&at("percent"), &file.percent)?,
        })
    };
    let mut tiers: Vec<VolumeTier> =
        files.iter().enumerate().map(read_tier).collect::<Checked<_>>()?;
    no_duplicates("volume_tiers.from_credits", tiers.iter().map(|tier| tier.from_credits))?;
    tiers.sort_by_key(|tier| tier.from_credits);
    Ok(tiers)
}

fn promotions(files: &[PromotionFile]) -> Checked<Vec<Promotion>> {
    let read_promotion = |(index, file): (usize, &PromotionFile)| {
        let at = |key: &str| format!("promotions[{index}].{key}");
        let starts: Timestamp = read(&at("starts"), &file.starts)?;
        let ends: Timestamp = read(&at("ends"), &file.ends)?;
        if ends <= starts {
            let kind = CatalogErrorKind::Bound("after the promotion's start".to_owned());
            return Err(error(&at("ends"), kind));
        }
        let cap: Option<Usd> =
            file.cap_usd.as_ref().map(|text| read_positive(&at("cap_usd"), text)).transpose()?;
        let min_credits = file.min_credits.as_ref();
        Ok(Promotion {
            code: read(&at("code"), &file.code)?,
            percent: read_positive(&at("percent"), &file.percent)?,
            starts,
            ends,
            min_credits: min_credits
                .map_or(Ok(Credits::ZERO), |text| read(&at("min_credits"), text))?,
            cap,
            assets: file.assets.clone(),
        })
    };
    let promotions: Vec<Promotion> =
        files.iter().enumerate().map(read_promotion).collect::<Checked<_>>()?;
    no_duplicates("promotions.code", promotions.iter().map(|promotion| &promotion.code))?;
    Ok(promotions)
}

fn asset_discounts(files: &[AssetDiscountFile]) -> Checked<Vec<AssetDiscount>> {
    let read_discount = |(index, file): (usize, &AssetDiscountFile)| {
        let at = |key: &str| format!("asset_discounts[{index}].{key}");
        Ok(AssetDiscount {
            symbol: file.symbol.clone(),
            percent: read(&at("percent"), &file.percent)?,
            holder_tiers: holder_tiers(&at("holder_tiers"), &file.holder_tiers)?,
        })
    };
    let discounts: Vec<AssetDiscount> =
        files.iter().enumerate().map(read_discount).collect::<Checked<_>>()?;
    no_duplicates("asset_discounts.symbol", discounts.iter().map(|discount| &discount.symbol))?;
    Ok(discounts)
}

fn holder_tiers(setting: &str, files: &[HolderTierFile]) -> Checked<Vec<HolderTier>> {
    let read_tier = |(index, file): (usize, &HolderTierFile)| {
        let at = |key: &str| format!("{setting}[{index}].{key}");
        let from = parse_units(&file.from_tokens, HolderTier::DECIMALS).map_err(|source| {
            error(&at("from_tokens"), CatalogErrorKind::Malformed(source.to_string()))
        });
        Ok(HolderTier { from_atto_tokens: from?, percent: read(&at("percent"), &file.percent)? })
    };
    let mut tiers: Vec<HolderTier> =
        files.iter().enumerate().map(read_tier).collect::<Checked<_>>()?;
    no_duplicates(setting, tiers.iter().map(HolderTier::from_tokens))?;
    tiers.sort_by_key(|tier| tier.from_atto_tokens);
    Ok(tiers)
}

fn stacking(order: Vec<DiscountKind>) -> Checked<Vec<DiscountKind>> {
    let kinds: BTreeSet<DiscountKind> = order.iter().copied().collect();
    if order.len() == DiscountKind::ALL.len() && kinds.len() == order.len() {
        return Ok(order);
    }
    let kind = CatalogErrorKind::Bound(
        "volume_tier, promotion, asset_discount and holder_tier, each once".to_owned(),
    );
    Err(error("stacking.order", kind))
}

fn terms(file: &TermsFile) -> Checked<QuoteTerms> {
    let tolerance_usd: Usd = read("terms.tolerance_usd", &file.tolerance_usd)?;
    if tolerance_usd < Usd::ZERO {
        let kind = CatalogErrorKind::Bound("zero or more".to_owned());
        return Err(error("terms.tolerance_usd", kind));
    }
    Ok(QuoteTerms {
        order_deadline_seconds: positive(
            "terms.order_deadline_seconds",
            file.order_deadline_seconds,
        )?,
        order_grace_seconds: file.order_grace_seconds,
        credits_valid_days: positive("terms.credits_valid_days", file.credits_valid_days)?,
        tolerance_usd,
        cent_usd: read_positive("terms.cent_usd", &file.cent_usd)?,
    })
}
