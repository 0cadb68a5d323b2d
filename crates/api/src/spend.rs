//! From requests to operations of the books, and back from their outcomes.
//!
//! Every request is one operation under a key of its own, so the books themselves answer a repeated one, a refusal too:
//! nothing is claimed before and nothing kept after.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use inspay_ledger::{Act, Operation, Outcome, PriceRefusal, Purpose, Refusal};
use inspay_ledger_writer::WriteError;
use inspay_primitives::{AccountId, Credits, HoldId, Label, LimitId, SubscriptionId};
use inspay_quoting::Purchase;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    accept::request_key,
    auth::Caller,
    extract::read_id,
    idempotency::{RequestKey, read_key},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::SpendWish,
};

/// Gives a request the key that its operation is remembered under. Only a POST must bring one: what PUT and DELETE ask
/// for is the same however often it is asked.
pub(crate) async fn named(
    State(_): State<ApiState>,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Response {
    let key = match read_key(request.headers()) {
        Ok(key) => key.to_owned(),
        Err(problem) if request.method() == Method::POST => return problem.into_response(),
        Err(_) => Uuid::new_v4().to_string(),
    };
    request.extensions_mut().insert(RequestKey(request_key(caller.key_hash, &key)));
    next.run(request).await
}

/// An identity that is the same however often its request is sent.
fn id_of(request_key: &str) -> Uuid {
    let digest = Sha256::new().chain_update(b"inspay/id/v1 ").chain_update(request_key).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}

/// The hold that a request makes.
pub(crate) fn hold_id(request_key: &str) -> HoldId {
    HoldId::from_uuid(id_of(request_key))
}

/// The subscription that a request opens.
pub(crate) fn subscription_id(request_key: &str) -> SubscriptionId {
    SubscriptionId::from_uuid(id_of(request_key))
}

/// The limit that a request sets.
pub(crate) fn limit_id(request_key: &str) -> LimitId {
    LimitId::from_uuid(id_of(request_key))
}

/// What was done, and whether it was done by an earlier request of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) entry_seq: Option<i64>,
    pub(crate) is_repeated: bool,
}

/// Asks the books for one thing.
pub(crate) async fn ask(state: &ApiState, request_key: &str, act: Act) -> Result<Done, Refused> {
    ask_one(state, requested(request_key, act)).await
}

/// Asks the books under the act's own key, whoever else asks for the same. A refusal is not stored: what stood against
/// it may go.
pub(crate) async fn ask_by_name(state: &ApiState, act: Act) -> Result<Done, Refused> {
    ask_one(state, Operation::from(act)).await
}

async fn ask_one(state: &ApiState, operation: Operation) -> Result<Done, Refused> {
    let mut done = written(state, vec![operation]).await?;
    done.pop().unwrap_or(Err(Refused::Problem(Problem::internal(&NoOutcome))))
}

fn requested(request_key: &str, act: Act) -> Operation {
    let (asker, key) = request_key.split_once('/').unwrap_or(("", request_key));
    Operation::requested(asker, key, act)
}

/// Asks the books for several things at once: one commit, each with its own outcome.
pub(crate) async fn ask_all(
    state: &ApiState,
    acts: Vec<(String, Act)>,
) -> Result<Vec<Result<Done, Refused>>, Refused> {
    written(state, acts.into_iter().map(|(key, act)| requested(&key, act)).collect()).await
}

async fn written(
    state: &ApiState,
    operations: Vec<Operation>,
) -> Result<Vec<Result<Done, Refused>>, Refused> {
    let outcomes = state.parts.writer.write(operations).await.map_err(|error| unwritten(&error))?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Applied { entry_seq } => Ok(Done { entry_seq, is_repeated: false }),
            Outcome::AlreadyApplied { entry_seq } => Ok(Done { entry_seq, is_repeated: true }),
            Outcome::Refused(refusal) => Err(Refused::Refusal(refusal)),
        })
        .collect())
}

#[derive(Debug, thiserror::Error)]
#[error("the books answered nothing")]
struct NoOutcome;

/// Why nothing was done.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// The books refused it.
    Refusal(Refusal),
    /// Something else.
    Problem(Problem),
}

fn unwritten(error: &WriteError) -> Refused {
    Refused::Problem(problem_of_write(error))
}

/// What is answered where the books could not be written.
pub(crate) fn problem_of_write(error: &WriteError) -> Problem {
    if error.is_transient() {
        let detail = "Try again in a moment; a POST with the same Idempotency-Key.";
        Problem::new(ProblemCode::StoreUnavailable, detail)
    } else {
        Problem::internal(error)
    }
}

/// Reads an amount of credits above zero.
pub(crate) fn read_credits(at: &str, text: &str) -> Result<Credits, Problem> {
    match Purchase::parse_custom(text) {
        Ok(Purchase::Custom(credits)) => Ok(credits),
        Ok(Purchase::Pack(_)) => Err(Problem::internal(&NoOutcome)),
        Err(error) => {
            let mut problem = Problem::from(error);
            for fact in &mut problem.errors {
                at.clone_into(&mut fact.at);
            }
            Err(problem)
        }
    }
}

/// Reads a label of a body, where there is one.
pub(crate) fn read_label(at: &str, text: Option<&String>) -> Result<Option<Label>, Problem> {
    text.map(|text| read_id(ProblemCode::BodyInvalid, at, text)).transpose()
}

/// Reads what is to be spent: account, purpose and credits, priced by the price book of now where units are named.
pub(crate) fn read_wish(
    state: &ApiState,
    wish: &SpendWish,
) -> Result<(AccountId, Purpose, Credits), Problem> {
    let account = read_id(ProblemCode::BodyInvalid, "/account", &wish.account)?;
    let purpose = Purpose {
        feature: read_id(ProblemCode::BodyInvalid, "/feature", &wish.feature)?,
        quality: read_label("/quality", wish.quality.as_ref())?,
        size: read_label("/size", wish.size.as_ref())?,
        units: wish.units,
        project: read_label("/project", wish.project.as_ref())?,
        session: read_label("/session", wish.session.as_ref())?,
        reference: read_label("/reference", wish.reference.as_ref())?,
    };
    let (prices, now) = (&state.parts.credits.prices, state.now());
    let credits = match (wish.units, &wish.credits) {
        (Some(units), None) => prices.price(
            &purpose.feature,
            purpose.quality.as_ref(),
            purpose.size.as_ref(),
            units,
            now,
        )?,
        (None, Some(credits)) => {
            prices.knows(&purpose.feature, now)?;
            read_credits("/credits", credits)?
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::at(
                ProblemCode::SpendUnclear,
                "/units",
                "Name either units or credits.",
            ));
        }
    };
    Ok((account, purpose, credits))
}

impl From<PriceRefusal> for Problem {
    fn from(refusal: PriceRefusal) -> Self {
        let (code, at) = match &refusal {
            PriceRefusal::NotYet(_) | PriceRefusal::UnknownFeature(_) => {
                (ProblemCode::UnknownFeature, "/feature")
            }
            PriceRefusal::UnknownVariant { .. } => (ProblemCode::UnknownVariant, "/quality"),
            PriceRefusal::NoUnits => (ProblemCode::AmountZero, "/units"),
            PriceRefusal::OutOfRange => (ProblemCode::AmountAboveMaximum, "/units"),
        };
        Self::at(code, at, refusal.to_string())
    }
}

/// The problem that a refusal is outside.
pub(crate) fn problem_of(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::Conflict => ProblemCode::IdempotencyKeyReused,
        Refusal::NotPositive => ProblemCode::AmountZero,
        Refusal::OutOfRange => ProblemCode::AmountAboveMaximum,
        Refusal::InsufficientCredits { .. } => ProblemCode::InsufficientCredits,
        Refusal::AccountNegative { .. } => ProblemCode::AccountNegative,
        Refusal::LimitReached { .. } => ProblemCode::LimitReached,
        Refusal::NoSuchHold => ProblemCode::HoldNotFound,
        Refusal::HoldCaptured { .. } => ProblemCode::HoldCaptured,
        Refusal::HoldReleased => ProblemCode::HoldReleased,
        Refusal::HoldLapsed => ProblemCode::HoldLapsed,
        Refusal::AboveHold { .. } => ProblemCode::AboveHold,
        Refusal::NoSuchUsage => ProblemCode::UsageNotFound,
        Refusal::AboveSpend { .. } => ProblemCode::AboveSpend,
        Refusal::BudgetSpent { .. } => ProblemCode::BudgetSpent,
        Refusal::WrongSource => ProblemCode::SourceNotGrantable,
        Refusal::LapsedAlready => ProblemCode::GrantLapsed,
        Refusal::NoSuchAccount => ProblemCode::AccountNotFound,
        Refusal::NoSuchLot => ProblemCode::LotNotFound,
        Refusal::NothingToRevoke => ProblemCode::NothingToRevoke,
        Refusal::NoSuchLimit => ProblemCode::LimitNotFound,
        Refusal::LimitsContradict { .. } => ProblemCode::LimitsContradict,
        Refusal::AlertsUnsound => ProblemCode::AlertsUnsound,
        Refusal::WindowMoved => ProblemCode::LimitWindowMoved,
        Refusal::NoSuchTransfer
        | Refusal::NoSuchOrder
        | Refusal::NotCanonical
        | Refusal::Moved
        | Refusal::AssetHalted
        | Refusal::OtherBranch
        | Refusal::OlderUnsettled
        | Refusal::StaleGeneration
        | Refusal::StillCanonical
        | Refusal::NotInSuspense
        | Refusal::DoesNotFit
        | Refusal::NotDue
        | Refusal::NothingToExpire
        | Refusal::NothingToWarn
        | Refusal::HoldNotLapsed
        | Refusal::Unbalanced => return Problem::internal(&refusal),
    };
    Problem::new(code, refusal.to_string())
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Problem(problem) => problem,
            Refused::Refusal(refusal) => problem_of(refusal),
        }
    }
}

/// The problem of a spend that was refused; with the least purchase that would let it pass, where credits are missing.
pub(crate) async fn problem_of_spend(state: &ApiState, refused: Refused) -> Problem {
    let missing = match &refused {
        Refused::Refusal(Refusal::InsufficientCredits { needed, available }) => {
            needed.checked_sub(*available)
        }
        Refused::Refusal(Refusal::AccountNegative { owed }) => Some(*owed),
        Refused::Refusal(_) | Refused::Problem(_) => None,
    };
    let problem = Problem::from(refused);
    let Some(missing) = missing else { return problem };
    let catalog = state.parts.pricing.catalog().await;
    let Some(offer) = crate::estimate::least_purchase(&catalog, missing) else { return problem };
    let detail = format!(
        "{}. Buying {} for {} USD at list price lets it pass.",
        problem.detail,
        offer.what(),
        offer.list_price
    );
    Problem { detail, ..problem }.with_fact(
        "/credits",
        "minimum_purchase",
        offer.credits.to_string(),
    )
}
