//! The OpenAPI document: its head, its security, and the problems of every operation.
//!
//! Which codes an operation may answer with stands in one table here; a test compares it with the routes.

use std::collections::BTreeMap;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::Type,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::problem::{PROBLEM_JSON, Problem, ProblemCode, ProblemFact};

/// The head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Inspay",
        description = "Sells credits for tokens. Ask for a quote, accept it in one asset, pay it with one \
                       transfer, and follow the order until its credits are there.\n\n\
                       Amounts are texts. Token amounts come as integer base units and as decimals, credits and \
                       dollars as decimals. Times are RFC 3339. Every POST needs an `Idempotency-Key`; the same \
                       key with the same body gives the same answer for at least 24 hours. Errors are \
                       `application/problem+json` with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "catalog", description = "What is sold."),
        (name = "quotes", description = "One purchase priced in every payable asset at once."),
        (name = "orders", description = "A quote accepted in one asset, and how to pay it."),
        (name = "transfers", description = "What came to the treasury, and why it is where it is."),
        (name = "accounts", description = "Balances, lots and history."),
        (name = "spending", description = "Holds, spends, grants, limits, usage and estimates."),
        (name = "subscriptions", description = "Credits that are granted again in every cycle."),
        (name = "wallets", description = "Proven wallets, claims, and where a payment is."),
        (name = "events", description = "What happened, in one sequence."),
        (name = "cases", description = "What a person has to look at."),
        (name = "operations", description = "Health and numbers."),
    ),
    components(schemas(Problem, ProblemFact, ProblemCode)),
    security(("key" = [])),
    modifiers(&KeyScheme),
)]
struct Document;

/// Adds the key as a security scheme.
struct KeyScheme;

impl Modify for KeyScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.description = Some(
            "A key `ik_…` made with `inspay keys`. Its scope is one account, the application, finance or operator."
                .to_owned(),
        );
        let components = openapi.components.get_or_insert_default();
        components.security_schemes.insert("key".to_owned(), SecurityScheme::Http(http).into());
    }
}

/// The head of the document, without paths.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

use ProblemCode as P;

/// What every keyed operation may answer with.
const KEYED: &[P] = &[P::Unauthenticated, P::StoreUnavailable, P::RequestTimeout, P::Internal];
/// What every POST may answer with besides.
const POSTED: &[P] = &[
    P::JsonMalformed,
    P::BodyInvalid,
    P::ContentTypeUnsupported,
    P::BodyTooLarge,
    P::Forbidden,
    P::IdempotencyKeyMissing,
    P::IdempotencyKeyMalformed,
    P::IdempotencyKeyReused,
    P::IdempotencyInProgress,
];
const WISHED: &[P] = &[
    P::PurchaseUnclear,
    P::UnknownPack,
    P::UnknownPromotion,
    P::PromotionNotStarted,
    P::PromotionEnded,
    P::PromotionBelowMinimum,
    P::AmountZero,
    P::AmountNegative,
    P::AmountMalformed,
    P::AmountTooManyDigits,
    P::AmountBelowMinimum,
    P::AmountAboveMaximum,
    P::PriceOutOfRange,
    P::AddressMalformed,
];
const ACCEPTED: &[P] = &[
    P::QuoteNotFound,
    P::QuoteExpired,
    P::QuoteUsed,
    P::TooManyUnpaidOrders,
    P::UnknownAsset,
    P::AssetAmbiguous,
    P::AssetNotPayable,
    P::AssetHalted,
    P::PriceZero,
    P::PriceOutOfRange,
    P::RateMissing,
    P::RateStale,
    P::RateFromFuture,
    P::RateTooFewSources,
    P::RateDisagreement,
    P::RateDepegged,
    P::RateSpotOnly,
    P::RateKindMissing,
    P::RateExpired,
];

/// What every POST to the books may answer with besides.
const NAMED: &[P] = &[
    P::JsonMalformed,
    P::BodyInvalid,
    P::ContentTypeUnsupported,
    P::BodyTooLarge,
    P::Forbidden,
    P::IdempotencyKeyMissing,
    P::IdempotencyKeyMalformed,
    P::IdempotencyKeyReused,
];
const AMOUNT: &[P] = &[
    P::AmountZero,
    P::AmountNegative,
    P::AmountMalformed,
    P::AmountTooManyDigits,
    P::AmountAboveMaximum,
];
const SPENT: &[P] = &[
    P::SpendUnclear,
    P::UnknownFeature,
    P::UnknownVariant,
    P::AmountZero,
    P::AmountNegative,
    P::AmountMalformed,
    P::AmountTooManyDigits,
    P::AmountAboveMaximum,
    P::InsufficientCredits,
    P::AccountNegative,
    P::LimitReached,
];
const ENDED: &[P] =
    &[P::PathInvalid, P::HoldNotFound, P::HoldCaptured, P::HoldReleased, P::HoldLapsed];

/// The codes of an operation; `None` if the table does not know it.
fn codes_of(operation: &str) -> Option<Vec<&'static [P]>> {
    Some(match operation {
        "get_catalog" | "get_health" | "get_metrics" => vec![&[P::Internal]],
        "get_readiness" => vec![&[P::NotReady]],
        "create_quote" => vec![KEYED, POSTED, WISHED],
        "get_quote" => vec![KEYED, &[P::PathInvalid, P::QuoteNotFound]],
        "create_order" => vec![KEYED, POSTED, ACCEPTED],
        "get_order" | "follow_order" => vec![KEYED, &[P::PathInvalid, P::OrderNotFound]],
        "list_orders" => vec![KEYED, &[P::QueryInvalid, P::CursorInvalid]],
        "list_transfers" => vec![KEYED, &[P::QueryInvalid, P::CursorInvalid, P::Forbidden]],
        "get_transfer" => vec![KEYED, &[P::PathInvalid, P::TransferNotFound]],
        "get_balance" => vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::AccountNotFound]],
        "list_lots" | "list_history" => {
            vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::CursorInvalid, P::AccountNotFound]]
        }
        "list_cases" => vec![KEYED, &[P::QueryInvalid, P::CursorInvalid, P::Forbidden]],
        "get_case" => vec![KEYED, &[P::PathInvalid, P::CaseNotFound, P::Forbidden]],
        "create_hold" => vec![KEYED, NAMED, SPENT, &[P::HoldTooLong]],
        "create_spend" => vec![KEYED, NAMED, SPENT],
        "create_spends" => vec![KEYED, NAMED, SPENT, &[P::BatchSize]],
        "get_hold" => vec![KEYED, &[P::PathInvalid, P::HoldNotFound]],
        "capture_hold" => vec![KEYED, NAMED, AMOUNT, ENDED, &[P::AboveHold]],
        "release_hold" => vec![KEYED, NAMED, ENDED],
        "list_holds" => {
            vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::CursorInvalid, P::AccountNotFound]]
        }
        "get_spend" => vec![KEYED, &[P::PathInvalid, P::UsageNotFound]],
        "refund_spend" => {
            vec![KEYED, NAMED, AMOUNT, &[P::PathInvalid, P::UsageNotFound, P::AboveSpend]]
        }
        "list_usage" => {
            vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::CursorInvalid, P::AccountNotFound]]
        }
        "get_usage_summary" => {
            vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::AccountNotFound]]
        }
        "list_plans" => vec![KEYED],
        "create_subscription" => vec![
            KEYED,
            NAMED,
            &[P::PathInvalid, P::AccountNotFound, P::UnknownPlan, P::SubscriptionExists],
        ],
        "list_subscriptions" => vec![KEYED, &[P::PathInvalid, P::AccountNotFound]],
        "get_subscription" => vec![KEYED, &[P::PathInvalid, P::SubscriptionNotFound]],
        "cancel_subscription" => vec![KEYED, NAMED, &[P::PathInvalid, P::SubscriptionNotFound]],
        "create_grant" => vec![
            KEYED,
            NAMED,
            AMOUNT,
            &[
                P::PathInvalid,
                P::AccountNotFound,
                P::SourceNotGrantable,
                P::BudgetSpent,
                P::GrantLapsed,
            ],
        ],
        "get_lot" => vec![KEYED, &[P::PathInvalid, P::LotNotFound]],
        "revoke_lot" => vec![KEYED, NAMED, &[P::PathInvalid, P::LotNotFound, P::NothingToRevoke]],
        "list_limits" => vec![KEYED, &[P::PathInvalid, P::AccountNotFound]],
        "create_limit" => vec![
            KEYED,
            NAMED,
            AMOUNT,
            &[P::PathInvalid, P::AccountNotFound, P::LimitInvalid, P::LimitsContradict],
            &[P::LimitWindowMoved, P::AlertsUnsound],
        ],
        "delete_limit" => {
            vec![KEYED, &[P::PathInvalid, P::Forbidden, P::AccountNotFound, P::LimitNotFound]]
        }
        "set_profile" => vec![
            KEYED,
            AMOUNT,
            &[P::JsonMalformed, P::BodyInvalid, P::ContentTypeUnsupported, P::BodyTooLarge],
            &[P::PathInvalid, P::Forbidden, P::ZoneUnknown, P::AlertsUnsound],
        ],
        "create_estimate" => vec![
            KEYED,
            POSTED,
            &[P::AccountNotFound, P::BatchSize, P::UnknownFeature, P::UnknownVariant],
            &[P::AmountZero, P::AmountAboveMaximum],
        ],
        "create_challenge" => vec![KEYED, POSTED, &[P::AddressMalformed]],
        "verify_wallet" => vec![
            KEYED,
            POSTED,
            &[P::MessageMalformed, P::MessageForeign, P::SignatureMalformed, P::SignatureRefused],
            &[P::ChallengeSpent, P::WalletBelongsToAnother, P::ChainUnavailable],
        ],
        "list_wallets" => vec![KEYED, &[P::PathInvalid, P::AccountNotFound]],
        "delete_wallet" => {
            vec![KEYED, &[P::PathInvalid, P::Forbidden, P::AddressMalformed, P::WalletNotFound]]
        }
        "create_claim" => vec![KEYED, POSTED, &[P::PathInvalid, P::OrderNotFound]],
        "find_payment" => vec![KEYED, &[P::PathInvalid, P::QueryInvalid, P::AccountNotFound]],
        "list_payments" => vec![
            KEYED,
            &[P::PathInvalid, P::QueryInvalid, P::CursorInvalid, P::AccountNotFound],
            &[P::AddressMalformed, P::WalletNotFound],
        ],
        "list_events" => vec![KEYED, &[P::QueryInvalid, P::CursorInvalid]],
        _ => return None,
    })
}

fn problem_response(codes: &[P]) -> Response {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(lines.join("\n\n")).content(PROBLEM_JSON, content).build()
}

fn idempotency_key() -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(
            "A new random value for every new request, the same one for its repetition: 1 to 255 visible ASCII \
             characters.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn complete(method: &HttpMethod, operation: &mut Operation) {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let mut by_status: BTreeMap<u16, Vec<P>> = BTreeMap::new();
    for code in codes_of(id).into_iter().flatten().flatten() {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        let response = RefOr::T(problem_response(&codes));
        operation.responses.responses.insert(status.to_string(), response);
    }
    if *method == HttpMethod::Post {
        operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
    }
}

/// The document with the problems of every operation, and the header of every POST.
pub(crate) fn with_problems(mut openapi: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in openapi.paths.paths.values_mut() {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                complete(&method, operation);
            }
        }
    }
    openapi.extensions.get_or_insert_default().insert(
        "x-problems".to_owned(),
        P::ALL
            .iter()
            .map(|code| {
                serde_json::json!({
                    "code": code.as_str(),
                    "status": code.status().as_u16(),
                    "title": code.title(),
                })
            })
            .collect(),
    );
    openapi
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_which_problems_it_answers_with() {
        let openapi = crate::openapi();
        let mut count = 0;
        for item in openapi.paths.paths.values() {
            for operation in [&item.get, &item.post, &item.put, &item.delete].into_iter().flatten()
            {
                let id = operation.operation_id.as_deref().expect("an operation id");
                assert!(codes_of(id).is_some(), "{id}");
                count += 1;
            }
        }
        assert_eq!(count, 49);
    }

    #[test]
    fn every_code_is_answered_by_some_operation_or_by_the_router_itself() {
        let by_router = [P::RouteNotFound, P::MethodNotAllowed];
        let openapi = crate::openapi();
        let used: Vec<P> = openapi
            .paths
            .paths
            .values()
            .flat_map(|item| [&item.get, &item.post, &item.put, &item.delete].into_iter().flatten())
            .filter_map(|operation| codes_of(operation.operation_id.as_deref()?))
            .flatten()
            .flatten()
            .copied()
            .collect();
        for code in P::ALL {
            assert!(used.contains(code) || by_router.contains(code), "{}", code.as_str());
        }
    }
}
