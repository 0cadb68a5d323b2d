//! Transfers, and why each is where it is.

use std::collections::{BTreeMap, btree_map::Entry};

use axum::{Json, extract::State};
use inspay_ports::{AssetHalt, CursorRecord, Page, TransferFilter, TransferView};
use inspay_primitives::{B256, ChainId, OrderId, TransferId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::Caller,
    cursor,
    extract::{Params, PathId, read_id},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{Shown, TransferBody, TransfersPage},
};
use inspay_ports::KeyScope;

const LIST: &str = "transfers";

/// Which transfers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TransfersParams {
    /// In this chain transaction only.
    #[serde(default)]
    tx_hash: Option<String>,
    /// Attributed to this order only.
    #[serde(default)]
    order: Option<String>,
    /// `true`: only those that belong to nothing yet; finance and operator keys.
    #[serde(default)]
    suspense: Option<bool>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Rows on a page, at most 200; 50 if nothing is said.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

fn read_filter(params: &TransfersParams, caller: &Caller) -> Result<TransferFilter, Problem> {
    let tx_hash = params.tx_hash.as_deref().map(read_tx_hash).transpose()?;
    let order: Option<OrderId> = (params.order.as_deref())
        .map(|text| read_id(ProblemCode::QueryInvalid, "order", text))
        .transpose()?;
    let suspense_only = params.suspense.unwrap_or(false);
    let is_narrow = tx_hash.is_some() || order.is_some();
    let account = match &caller.scope {
        KeyScope::Account(own) => Some(own.clone()),
        KeyScope::Application | KeyScope::Finance | KeyScope::Operator => None,
    };
    // The whole list shows what belongs to nobody, as suspense does.
    if suspense_only || (account.is_none() && !is_narrow) {
        caller.may_read_suspense()?;
    }
    Ok(TransferFilter { tx_hash, order, account, payer: None, suspense_only })
}

fn read_tx_hash(text: &str) -> Result<B256, Problem> {
    let is_hash = text.len() == 66 && text.starts_with("0x");
    text.parse().ok().filter(|_| is_hash).ok_or_else(|| {
        Problem::at(
            ProblemCode::QueryInvalid,
            "tx_hash",
            "A chain transaction's hash is 0x and 64 hex digits.",
        )
    })
}

/// How a chain stands that transfers are shown against.
struct ChainFacts {
    cursor: Option<CursorRecord>,
    halts: Vec<AssetHalt>,
}

/// How the chains of some transfers stand.
pub(super) struct ChainsFacts(BTreeMap<ChainId, ChainFacts>);

impl ChainsFacts {
    pub(super) fn shown<'a>(&'a self, state: &'a ApiState, chain: ChainId) -> Shown<'a> {
        let of_chain = self.0.get(&chain);
        let cursor = of_chain.and_then(|facts| facts.cursor.as_ref());
        let halts = of_chain.map_or(&[][..], |facts| &facts.halts);
        Shown { sale: state.sale(), cursor, halts }
    }
}

pub(super) async fn chain_facts(
    state: &ApiState,
    views: &[TransferView],
) -> Result<ChainsFacts, Problem> {
    let mut facts = BTreeMap::new();
    for view in views {
        let chain = view.transfer.key.chain_id;
        if let Entry::Vacant(vacant) = facts.entry(chain) {
            let cursor = state.store().cursor(chain).await?;
            let halts = state.store().halts(chain).await?;
            vacant.insert(ChainFacts { cursor, halts });
        }
    }
    Ok(ChainsFacts(facts))
}

fn show(state: &ApiState, facts: &ChainsFacts, view: &TransferView) -> TransferBody {
    TransferBody::from_view(view, facts.shown(state, view.transfer.key.chain_id))
}

/// Transfers in and out of the treasury, newest recorded first.
///
/// An account's key sees the payments of its own orders. An application's key names a chain
/// transaction or an order. Finance and operator keys see all, also those in suspense.
#[utoipa::path(get, path = "/v1/transfers", tag = "transfers", operation_id = "list_transfers", params(TransfersParams),
    responses((status = 200, description = "A page of transfers.", body = TransfersPage)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Params(params): Params<TransfersParams>,
) -> Result<Json<TransfersPage>, Problem> {
    let filter = read_filter(&params, &caller)?;
    let after = cursor::read(LIST, params.after.as_deref())?;
    let limit = cursor::read_limit(params.limit)?;
    let page = Page { after, limit: limit.saturating_add(1) };
    let views = state.store().transfers(filter, page).await?;
    let position = |view: &TransferView| cursor::encode(LIST, &view.position.to_string());
    let (views, next) = cursor::cut(views, limit, position);
    let facts = chain_facts(&state, &views).await?;
    let items = views.iter().map(|view| show(&state, &facts, view)).collect();
    Ok(Json(TransfersPage { items, next }))
}

/// One transfer, with why it is where it is.
#[utoipa::path(get, path = "/v1/transfers/{transfer}", tag = "transfers", operation_id = "get_transfer",
    params(("transfer" = String, Path, description = "Its id.",
        example = "trf_010101010101010101010101010101019bc865ad1b59cfd01ab9afd15e90668a")),
    responses((status = 200, description = "The transfer.", body = TransferBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<TransferId>,
) -> Result<Json<TransferBody>, Problem> {
    let not_found =
        || Problem::new(ProblemCode::TransferNotFound, format!("There is no transfer {id}."));
    let view = state.store().transfer(id).await?.ok_or_else(not_found)?;
    if let Some(own) = caller.own_account() {
        let order = match view.settlement.as_ref().and_then(|settled| settled.order) {
            Some(order) => state.store().order(order).await?,
            None => None,
        };
        if order.is_none_or(|order| order.terms.account != *own) {
            return Err(not_found());
        }
    }
    let views = [view];
    let facts = chain_facts(&state, &views).await?;
    let [view] = &views;
    Ok(Json(show(&state, &facts, view)))
}
