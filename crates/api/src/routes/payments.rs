//! Finding payments: what is known of one, how far it is, and what it needs.
//!
//! Never tells an account whose a payment is that is not its own.

use std::collections::HashMap;

use axum::{Json, extract::State, http::StatusCode};
use inspay_ports::{Page, PaymentClaim, TransferFilter, TransferView};
use inspay_primitives::{AccountId, Address, B256, ChainId, Direction, OrderId, TransferId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    accounts::{self, PageParams},
    orders,
    transfers::chain_facts,
};
use crate::{
    auth::Caller,
    cursor,
    extract::{Body, Params, PathId, read_address, read_id},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{ClaimBody, ClaimWish, ClaimsBody, PaymentBody, PaymentsBody, PaymentsPage},
};

const LIST: &str = "payments";

/// Transfers of one chain transaction that are shown.
const TRANSFERS_MAX: u32 = 200;

/// Whose payment is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PaymentParams {
    /// The account; a key of one account looks for its own.
    #[param(example = "alice")]
    account: String,
}

fn read_hash(code: ProblemCode, at: &str, text: &str) -> Result<B256, Problem> {
    text.parse()
        .map_err(|_| Problem::at(code, at, "A chain transaction's hash is 0x and 64 hex digits."))
}

/// Claims a chain transaction for an order.
///
/// A claim counts only together with the wallet that paid, proven for the order's account: everybody can read a hash.
/// Without it a case is opened for a person to look at. It is kept either way, and what it names is judged again.
#[utoipa::path(post, path = "/v1/orders/{id}/claims", tag = "wallets", operation_id = "create_claim",
    params(("id" = String, Path, description = "The order.")), request_body = ClaimWish,
    responses((status = 201, description = "The order's claims.", body = ClaimsBody)))]
pub(crate) async fn claim(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<OrderId>,
    Body(wish): Body<ClaimWish>,
) -> Result<(StatusCode, Json<ClaimsBody>), Problem> {
    let order = orders::find(&state, &caller, id).await?;
    caller.may_buy_for(&order.terms.account)?;
    let tx_hash = read_hash(ProblemCode::BodyInvalid, "/tx_hash", &wish.tx_hash)?;
    let claim = PaymentClaim {
        order: id,
        chain_id: order.terms.asset.chain_id,
        tx_hash,
        claimed_at: state.now(),
    };
    state.store().claim_payment(claim).await?;
    let claims = state.store().payment_claims(id).await?;
    let items = claims.iter().map(ClaimBody::from).collect();
    Ok((StatusCode::CREATED, Json(ClaimsBody { items })))
}

/// Transfers to a treasury, as one account may know them.
async fn shown(
    state: &ApiState,
    account: &AccountId,
    filter: &TransferFilter,
    page: Page,
) -> Result<Vec<(TransferView, PaymentBody)>, Problem> {
    let views = state.store().transfers(filter.clone(), page).await?;
    let of_account = TransferFilter { account: Some(account.clone()), ..filter.clone() };
    let own: HashMap<TransferId, Option<OrderId>> = state
        .store()
        .transfers(of_account, page)
        .await?
        .into_iter()
        .map(|view| (view.id, view.settlement.and_then(|settled| settled.order)))
        .collect();
    let facts = chain_facts(state, &views).await?;
    let payments = views.into_iter().filter(|view| view.transfer.key.direction == Direction::In);
    Ok(payments
        .map(|view| {
            let order = own.get(&view.id).copied().flatten();
            let shown = facts.shown(state, view.transfer.key.chain_id);
            let body = PaymentBody::new(&view, order, shown);
            (view, body)
        })
        .collect())
}

/// Says where a payment is, and what it needs.
///
/// Of transfers that pay for others it says nothing but that they are not this account's.
#[utoipa::path(get, path = "/v1/payments/{tx_hash}", tag = "wallets", operation_id = "find_payment",
    params(("tx_hash" = String, Path, description = "The chain transaction."), PaymentParams),
    responses((status = 200, description = "What is known of it.", body = PaymentsBody)))]
pub(crate) async fn find(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(tx_hash): PathId<String>,
    Params(params): Params<PaymentParams>,
) -> Result<Json<PaymentsBody>, Problem> {
    let account: AccountId = read_id(ProblemCode::QueryInvalid, "account", &params.account)?;
    accounts::must_read(&caller, &account)?;
    let hash = read_hash(ProblemCode::PathInvalid, "tx_hash", &tx_hash)?;
    let filter = TransferFilter { tx_hash: Some(hash), ..TransferFilter::default() };
    let page = Page { after: None, limit: TRANSFERS_MAX };
    let items: Vec<PaymentBody> =
        shown(&state, &account, &filter, page).await?.into_iter().map(|(_, body)| body).collect();
    Ok(Json(PaymentsBody::new(hash, items)))
}

/// What a wallet of the account has paid, newest recorded first.
#[utoipa::path(get, path = "/v1/accounts/{account}/wallets/{chain}/{wallet}/payments", tag = "wallets",
    operation_id = "list_payments",
    params(("account" = String, Path, description = "The account.", example = "alice"),
        ("chain" = u64, Path, description = "The chain.", example = 1),
        ("wallet" = String, Path, description = "The wallet; it is proven for the account."), PageParams),
    responses((status = 200, description = "A page of payments.", body = PaymentsPage)))]
pub(crate) async fn of_wallet(
    State(state): State<ApiState>,
    caller: Caller,
    PathId((account, chain, wallet)): PathId<(AccountId, u64, String)>,
    Params(params): Params<PageParams>,
) -> Result<Json<PaymentsPage>, Problem> {
    accounts::must_read(&caller, &account)?;
    let (chain_id, wallet): (ChainId, Address) = (ChainId(chain), read_address("wallet", &wallet)?);
    if state.store().wallet_owner(chain_id, wallet).await?.as_ref() != Some(&account) {
        let detail = format!("{account} has no wallet {wallet} on chain {chain_id}.");
        return Err(Problem::new(ProblemCode::WalletNotFound, detail));
    }
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let filter = TransferFilter { payer: Some((chain_id, wallet)), ..TransferFilter::default() };
    let payments = shown(&state, &account, &filter, page).await?;
    let position =
        |(view, _): &(TransferView, PaymentBody)| cursor::encode(LIST, &view.position.to_string());
    let (payments, next) = cursor::cut(payments, limit, position);
    let items = payments.into_iter().map(|(_, body)| body).collect();
    Ok(Json(PaymentsPage { items, next }))
}
