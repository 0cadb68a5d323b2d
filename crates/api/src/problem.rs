//! Errors as the outside sees them: RFC 9457 problem documents with stable codes.
//!
//! Never shows an inner cause: that goes to the log, once, where the problem is made.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong, as a stable name that programs may compare.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status that it is sent with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// One sentence for people, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

problem_codes! {
    /// Body that is no JSON.
    JsonMalformed = "json_malformed", BAD_REQUEST, "The body is not JSON.";
    /// JSON of another shape.
    BodyInvalid = "body_invalid", UNPROCESSABLE_ENTITY, "The body does not have the expected fields.";
    /// No JSON content type.
    ContentTypeUnsupported = "content_type_unsupported", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.";
    /// More than the limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large.";
    /// Unknown, repeated or mistyped query parameter.
    QueryInvalid = "query_invalid", BAD_REQUEST, "A query parameter is not known or not valid.";
    /// An id in the path that cannot be one.
    PathInvalid = "path_invalid", BAD_REQUEST, "A part of the path is not valid.";
    /// Not a cursor of this list.
    CursorInvalid = "cursor_invalid", BAD_REQUEST, "The page cursor is not one of this list.";
    /// Not an address, or its checksum is wrong.
    AddressMalformed = "address_malformed", UNPROCESSABLE_ENTITY, "That is not an address.";
    /// No such path.
    RouteNotFound = "route_not_found", NOT_FOUND, "There is nothing at this path.";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "This path does not take that method.";
    /// No key, or none that is valid.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid key is needed.";
    /// The key's scope does not allow it.
    Forbidden = "forbidden", FORBIDDEN, "This key may not do that.";
    /// POST without the header.
    IdempotencyKeyMissing = "idempotency_key_missing", BAD_REQUEST, "The header Idempotency-Key is needed.";
    /// Header of a form that is not allowed.
    IdempotencyKeyMalformed = "idempotency_key_malformed", BAD_REQUEST, "The header Idempotency-Key is not valid.";
    /// Same key, other request.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request.";
    /// Same key, still running.
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, "The same request is still running.";
    /// Neither pack nor credits, or both.
    PurchaseUnclear = "purchase_unclear", UNPROCESSABLE_ENTITY, "Name either a pack or an amount of credits.";
    /// Not in the catalog.
    UnknownPack = "unknown_pack", UNPROCESSABLE_ENTITY, "There is no such pack.";
    /// Not in the catalog.
    UnknownPromotion = "unknown_promotion", UNPROCESSABLE_ENTITY, "There is no such promotion.";
    /// Before its window.
    PromotionNotStarted = "promotion_not_started", UNPROCESSABLE_ENTITY, "The promotion has not started.";
    /// After its window.
    PromotionEnded = "promotion_ended", UNPROCESSABLE_ENTITY, "The promotion has ended.";
    /// Too small a purchase for it.
    PromotionBelowMinimum = "promotion_below_minimum", UNPROCESSABLE_ENTITY, "The promotion asks for a larger purchase.";
    /// Nothing.
    AmountZero = "amount_zero", UNPROCESSABLE_ENTITY, "The amount is zero.";
    /// Less than nothing.
    AmountNegative = "amount_negative", UNPROCESSABLE_ENTITY, "The amount is negative.";
    /// Not a number.
    AmountMalformed = "amount_malformed", UNPROCESSABLE_ENTITY, "The amount is not a decimal number.";
    /// It would have to be rounded.
    AmountTooManyDigits = "amount_too_many_digits", UNPROCESSABLE_ENTITY, "The amount has too many digits after the point.";
    /// Below the catalog's minimum.
    AmountBelowMinimum = "amount_below_minimum", UNPROCESSABLE_ENTITY, "The amount is below the minimum.";
    /// Above the catalog's maximum.
    AmountAboveMaximum = "amount_above_maximum", UNPROCESSABLE_ENTITY, "The amount is above the maximum.";
    /// Beyond what dollars or the token can hold.
    PriceOutOfRange = "price_out_of_range", UNPROCESSABLE_ENTITY, "The price is out of range.";
    /// Discounts leave nothing to pay.
    PriceZero = "price_zero", UNPROCESSABLE_ENTITY, "The discounts leave nothing to pay.";
    /// Not in the quote.
    UnknownAsset = "unknown_asset", UNPROCESSABLE_ENTITY, "The quote has no such asset.";
    /// A symbol that several chains share.
    AssetAmbiguous = "asset_ambiguous", UNPROCESSABLE_ENTITY, "Several assets have that symbol.";
    /// Quoted once, no longer sold in.
    AssetNotPayable = "asset_not_payable", UNPROCESSABLE_ENTITY, "This asset is no longer taken.";
    /// No source answered.
    RateMissing = "rate_missing", UNPROCESSABLE_ENTITY, "The asset has no rate.";
    /// All rates are old.
    RateStale = "rate_stale", UNPROCESSABLE_ENTITY, "The asset's rate is out of date.";
    /// Rates from after now.
    RateFromFuture = "rate_from_future", UNPROCESSABLE_ENTITY, "The asset's rate is dated in the future.";
    /// Too few sources.
    RateTooFewSources = "rate_too_few_sources", UNPROCESSABLE_ENTITY, "Too few sources gave a rate.";
    /// Sources contradict each other.
    RateDisagreement = "rate_disagreement", UNPROCESSABLE_ENTITY, "The sources of the rate disagree.";
    /// Outside its band.
    RateDepegged = "rate_depegged", UNPROCESSABLE_ENTITY, "The token has left its peg.";
    /// Spot prices only.
    RateSpotOnly = "rate_spot_only", UNPROCESSABLE_ENTITY, "A spot price alone makes no rate.";
    /// None of the required kinds.
    RateKindMissing = "rate_kind_missing", UNPROCESSABLE_ENTITY, "A required kind of rate is missing.";
    /// It expired before it was used.
    RateExpired = "rate_expired", UNPROCESSABLE_ENTITY, "The asset's rate has expired.";
    /// Its balance on the chain is not explained.
    AssetHalted = "asset_halted", CONFLICT, "Payments in this asset are not credited for now.";
    /// No such quote.
    QuoteNotFound = "quote_not_found", NOT_FOUND, "There is no such quote.";
    /// Past its expiry.
    QuoteExpired = "quote_expired", CONFLICT, "The quote has expired.";
    /// An order has it.
    QuoteUsed = "quote_used", CONFLICT, "The quote is already used by an order.";
    /// The account keeps too many amounts already.
    TooManyUnpaidOrders = "too_many_unpaid_orders", CONFLICT, "The account has too many unpaid orders.";
    /// Not in the settings.
    UnknownPlan = "unknown_plan", UNPROCESSABLE_ENTITY, "There is no such plan.";
    /// One of a plan at a time.
    SubscriptionExists = "subscription_exists", CONFLICT, "The account has this plan already.";
    /// No such subscription, or not this key's.
    SubscriptionNotFound = "subscription_not_found", NOT_FOUND, "There is no such subscription.";
    /// Neither units nor credits, or both.
    SpendUnclear = "spend_unclear", UNPROCESSABLE_ENTITY, "Name either units or credits.";
    /// Not in the price book.
    UnknownFeature = "unknown_feature", UNPROCESSABLE_ENTITY, "There is no such feature.";
    /// Not a quality and size of the feature.
    UnknownVariant = "unknown_variant", UNPROCESSABLE_ENTITY, "The feature has no such quality and size.";
    /// A hold that nobody may make so long.
    HoldTooLong = "hold_too_long", UNPROCESSABLE_ENTITY, "A hold cannot last that long.";
    /// No item, or too many.
    BatchSize = "batch_size", UNPROCESSABLE_ENTITY, "A batch has one to a hundred items.";
    /// Fewer credits than are needed.
    InsufficientCredits = "insufficient_credits", PAYMENT_REQUIRED, "The account has not enough credits for this.";
    /// A payment was taken back whose credits were spent.
    AccountNegative = "account_negative", PAYMENT_REQUIRED, "The account owes credits.";
    /// A limit of the account's own.
    LimitReached = "limit_reached", CONFLICT, "A limit of the account does not allow it.";
    /// No such hold, or not this key's.
    HoldNotFound = "hold_not_found", NOT_FOUND, "There is no such hold.";
    /// Spent already.
    HoldCaptured = "hold_captured", CONFLICT, "The hold was captured already.";
    /// Given back already.
    HoldReleased = "hold_released", CONFLICT, "The hold was released already.";
    /// Too late.
    HoldLapsed = "hold_lapsed", CONFLICT, "The hold ran out.";
    /// More than it has.
    AboveHold = "above_hold", UNPROCESSABLE_ENTITY, "The hold has fewer credits.";
    /// No such spend, or not this key's.
    UsageNotFound = "usage_not_found", NOT_FOUND, "There is no such spend.";
    /// More than was spent and has not come back.
    AboveSpend = "above_spend", CONFLICT, "Fewer credits of the spend can be refunded.";
    /// The promotion has granted what it may.
    BudgetSpent = "budget_spent", CONFLICT, "The promotion's budget does not allow it.";
    /// Purchases are granted by payments, and promotions are those of the settings.
    SourceNotGrantable = "source_not_grantable", UNPROCESSABLE_ENTITY, "Credits of that source cannot be granted so.";
    /// They would have lapsed before.
    GrantLapsed = "grant_lapsed", UNPROCESSABLE_ENTITY, "The credits would have lapsed already.";
    /// No such lot, or not this key's.
    LotNotFound = "lot_not_found", NOT_FOUND, "There is no such lot.";
    /// Nothing of it is left or held.
    NothingToRevoke = "nothing_to_revoke", CONFLICT, "Nothing of the lot is left.";
    /// No such limit, or not this account's.
    LimitNotFound = "limit_not_found", NOT_FOUND, "There is no such limit.";
    /// Another limit makes it void.
    LimitsContradict = "limits_contradict", CONFLICT, "The limit contradicts another one.";
    /// Not a scope, window or action.
    LimitInvalid = "limit_invalid", UNPROCESSABLE_ENTITY, "That is no limit.";
    /// Midnight passed while it was set.
    LimitWindowMoved = "limit_window_moved", CONFLICT, "The limit's window has just ended; ask again.";
    /// Not in order.
    AlertsUnsound = "alerts_unsound", UNPROCESSABLE_ENTITY, "The alerts are not in order.";
    /// Not in the zone database.
    ZoneUnknown = "zone_unknown", UNPROCESSABLE_ENTITY, "There is no such time zone.";
    /// Not a message that is made here.
    MessageMalformed = "message_malformed", UNPROCESSABLE_ENTITY, "That is no sign-in message.";
    /// Made for another site, or by nobody.
    MessageForeign = "message_foreign", UNPROCESSABLE_ENTITY, "The sign-in message was not made here.";
    /// Not hex digits.
    SignatureMalformed = "signature_malformed", UNPROCESSABLE_ENTITY, "That is no signature.";
    /// Neither the wallet's key nor its contract says so.
    SignatureRefused = "signature_refused", UNPROCESSABLE_ENTITY, "The signature is not the wallet's.";
    /// Used before, or too old.
    ChallengeSpent = "challenge_spent", CONFLICT, "The sign-in message is used up or has run out.";
    /// One wallet, one account.
    WalletBelongsToAnother = "wallet_belongs_to_another", CONFLICT, "The wallet belongs to another account.";
    /// Not this account's.
    WalletNotFound = "wallet_not_found", NOT_FOUND, "The account has no such wallet.";
    /// No endpoint answers.
    ChainUnavailable = "chain_unavailable", SERVICE_UNAVAILABLE, "The chain does not answer.";
    /// No such order, or not this key's.
    OrderNotFound = "order_not_found", NOT_FOUND, "There is no such order.";
    /// No such transfer, or not this key's.
    TransferNotFound = "transfer_not_found", NOT_FOUND, "There is no such transfer.";
    /// No such case.
    CaseNotFound = "case_not_found", NOT_FOUND, "There is no such case.";
    /// No such account, or not this key's.
    AccountNotFound = "account_not_found", NOT_FOUND, "There is no such account.";
    /// The database cannot be reached.
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "The database does not answer.";
    /// It took too long.
    RequestTimeout = "request_timeout", SERVICE_UNAVAILABLE, "The request took too long.";
    /// A component is not ready.
    NotReady = "not_ready", SERVICE_UNAVAILABLE, "Not ready.";
    /// A fault of ours.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side.";
}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What went wrong, as a stable name that programs may compare."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for ProblemCode {}

impl Serialize for ProblemCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One fact behind a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemFact {
    /// Where: a JSON pointer into the body, the name of a parameter or header, or a component.
    #[schema(example = "/credits")]
    pub at: String,
    /// What, as a stable name.
    #[schema(example = "amount_zero")]
    pub code: String,
    /// The same for people.
    pub detail: String,
}

/// An error: RFC 9457 problem details with a stable `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A link to what the code means.
    #[schema(example = "/docs#problem-order_not_found")]
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence for people, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What went wrong, as a stable name.
    pub code: ProblemCode,
    /// What went wrong this time.
    pub detail: String,
    /// The facts behind it, one each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemFact>,
}

impl Problem {
    /// A problem with its detail.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs#problem-{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// A problem with one place in the request, whose fact repeats code and detail.
    pub(crate) fn at(code: ProblemCode, at: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(code, detail);
        let detail = problem.detail.clone();
        problem.with_fact(at, code.as_str(), detail)
    }

    /// The same with one more fact.
    pub(crate) fn with_fact(
        mut self,
        at: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        self.errors.push(ProblemFact { at: at.into(), code: code.into(), detail: detail.into() });
        self
    }

    /// A fault of ours: the cause goes to the log, the outside learns nothing of it.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain_of(cause), "request failed by a fault of ours");
        Self::new(ProblemCode::Internal, "It is in our log under this answer's X-Request-Id.")
    }
}

/// An error with all its causes, outermost first.
pub(crate) fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = match serde_json::to_string(&self) {
            Ok(body) => (status, body).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
