//! Proving wallets by their signatures (EIP-4361; ERC-1271 for contract wallets that are on the chain).
//!
//! Never takes a signature for a contract that is yet to be made (ERC-6492): it proves nothing of who may move its tokens.

use axum::{Json, extract::State, http::StatusCode};
use inspay_ledger::{FreePlanDue, FreePlanTerms};
use inspay_ports::{Linked, WalletChallenge, WalletLinking, WalletProof};
use inspay_primitives::{
    AccountId, Address, ChainId, SignIn, Timestamp, digest_to_sign, signer_of,
};
use uuid::Uuid;

use super::accounts;
use crate::{
    auth::Caller,
    extract::{Body, PathId, read_address, read_id},
    problem::{Problem, ProblemCode},
    state::ApiState,
    wire::{ChallengeBody, ChallengeWish, ProofWish, WalletBody, WalletsBody},
};

/// Makes a message that a wallet signs to be proven for an account (EIP-4361).
#[utoipa::path(post, path = "/v1/wallets/challenge", tag = "wallets", operation_id = "create_challenge",
    request_body = ChallengeWish,
    responses((status = 201, description = "The message to sign.", body = ChallengeBody)))]
pub(crate) async fn challenge(
    State(state): State<ApiState>,
    caller: Caller,
    Body(wish): Body<ChallengeWish>,
) -> Result<(StatusCode, Json<ChallengeBody>), Problem> {
    let account: AccountId = read_id(ProblemCode::BodyInvalid, "/account", &wish.account)?;
    caller.may_set(&account)?;
    let chain_id = ChainId(wish.chain_id);
    if !state.sale().assets.iter().any(|listed| listed.asset.id.chain_id == chain_id) {
        let detail = format!("Nothing is sold on chain {chain_id}.");
        return Err(Problem::at(ProblemCode::BodyInvalid, "/chain_id", detail));
    }
    let settings = &state.parts.wallets;
    let now = state.now();
    let message = SignIn {
        domain: settings.domain.clone(),
        wallet: read_address("/wallet", &wish.wallet)?,
        account,
        uri: settings.uri.clone(),
        chain_id,
        nonce: Uuid::new_v4().simple().to_string(),
        issued_at: now,
        expires_at: now.plus_seconds(i64::from(settings.challenge_seconds)),
    };
    let challenge = WalletChallenge {
        nonce: message.nonce.clone(),
        account: message.account.clone(),
        chain_id: message.chain_id,
        wallet: message.wallet,
        issued_at: message.issued_at,
        expires_at: message.expires_at,
    };
    state.store().open_challenge(challenge).await?;
    let body = ChallengeBody { message: message.to_text(), expires_at: message.expires_at };
    Ok((StatusCode::CREATED, Json(body)))
}

/// The message, if it is one of ours for this caller and still good.
async fn read_message(state: &ApiState, caller: &Caller, text: &str) -> Result<SignIn, Problem> {
    let wrong = |code: ProblemCode, detail: &str| Problem::at(code, "/message", detail);
    let message = SignIn::parse(text)
        .map_err(|error| wrong(ProblemCode::MessageMalformed, &error.to_string()))?;
    let settings = &state.parts.wallets;
    if message.domain != settings.domain || message.uri != settings.uri {
        let detail = "The message was made for another site.";
        return Err(wrong(ProblemCode::MessageForeign, detail));
    }
    caller.may_set(&message.account)?;
    let known = state.store().challenge(&message.nonce).await?;
    let is_ours = known.is_some_and(|known| {
        let signed = WalletChallenge {
            nonce: message.nonce.clone(),
            account: message.account.clone(),
            chain_id: message.chain_id,
            wallet: message.wallet,
            issued_at: message.issued_at,
            expires_at: message.expires_at,
        };
        known == signed
    });
    if !is_ours {
        let detail = "No such message was made here.";
        return Err(wrong(ProblemCode::MessageForeign, detail));
    }
    let now = state.now();
    if now >= message.expires_at || now < message.issued_at {
        return Err(wrong(ProblemCode::ChallengeSpent, "The message has run out."));
    }
    Ok(message)
}

async fn proof_of(
    state: &ApiState,
    message: &SignIn,
    (text, signature): (&str, &[u8]),
) -> Result<WalletProof, Problem> {
    if signer_of(text, signature) == Some(message.wallet) {
        return Ok(WalletProof::Key);
    }
    let refused = || {
        let detail = "The signature is not the wallet's.";
        Problem::at(ProblemCode::SignatureRefused, "/signature", detail)
    };
    let chain = state.parts.wallets.chains.get(&message.chain_id).ok_or_else(refused)?;
    let digest = digest_to_sign(text);
    match chain.accepts_signature(message.wallet, digest, signature).await {
        Ok(true) => Ok(WalletProof::Contract),
        Ok(false) => Err(refused()),
        Err(error) => {
            tracing::warn!(%error, "a contract wallet could not be asked");
            let detail = "No endpoint could ask the wallet's contract. Try again in a moment.";
            Err(Problem::new(ProblemCode::ChainUnavailable, detail))
        }
    }
}

/// What a wallet that is proven now brings.
fn free_plan(state: &ApiState, now: Timestamp) -> Option<FreePlanTerms> {
    state.parts.credits.free_plan.as_ref().map(|plan| {
        let expires_at = match plan.days {
            0 => Timestamp::FAR,
            days => now.plus_seconds(i64::from(days).saturating_mul(86_400)),
        };
        FreePlanTerms { credits: plan.credits, expires_at }
    })
}

/// Grants the free plan that a wallet has brought at once. What fails here stays due, and settlement grants it.
async fn grant_free_plan(state: &ApiState, due: &FreePlanDue) {
    let outcomes = match state.parts.writer.write(vec![due.operation()]).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            tracing::warn!(%error, wallet = %due.wallet, "a free plan is granted later");
            return;
        }
    };
    for refusal in outcomes.iter().filter_map(FreePlanDue::refused) {
        tracing::warn!(%refusal, wallet = %due.wallet, "a proven wallet's free plan was refused");
    }
    if let Err(error) = state.store().note_free_plans(vec![due.wallet]).await {
        tracing::warn!(%error, wallet = %due.wallet, "a free plan that was granted is looked at again");
    }
}

/// Proves a wallet for an account by its signature, of its key or its contract (ERC-1271).
///
/// A wallet of a chain belongs to one account. What it paid and belongs to nothing yet is judged again. The first proof of
/// a wallet brings the free plan, if there is one; an account that is not known yet appears with it.
#[utoipa::path(post, path = "/v1/wallets/verify", tag = "wallets", operation_id = "verify_wallet",
    request_body = ProofWish,
    responses((status = 200, description = "The wallet.", body = WalletBody)))]
pub(crate) async fn verify(
    State(state): State<ApiState>,
    caller: Caller,
    Body(wish): Body<ProofWish>,
) -> Result<Json<WalletBody>, Problem> {
    let message = read_message(&state, &caller, &wish.message).await?;
    let digits = wish.signature.strip_prefix("0x").unwrap_or(&wish.signature);
    let signature = hex::decode(digits).map_err(|_| {
        let detail = "A signature is 0x and hex digits.";
        Problem::at(ProblemCode::SignatureMalformed, "/signature", detail)
    })?;
    let proof = proof_of(&state, &message, (&wish.message, &signature)).await?;
    let at = state.now();
    let free_plan = free_plan(&state, at);
    let linking = WalletLinking { nonce: message.nonce.clone(), proof, free_plan, at };
    match state.store().link_wallet(linking).await? {
        Linked::Proven(record) => {
            if let Some(terms) = free_plan {
                let account = record.account.clone();
                grant_free_plan(&state, &FreePlanDue { wallet: record.wallet, account, terms })
                    .await;
            }
            Ok(Json(WalletBody::from(&record)))
        }
        Linked::Spent => {
            let detail = "The message was used before, or has run out.";
            Err(Problem::at(ProblemCode::ChallengeSpent, "/message", detail))
        }
        Linked::BelongsToAnother => {
            let detail = "Another account has proven this wallet.";
            Err(Problem::at(ProblemCode::WalletBelongsToAnother, "/message", detail))
        }
    }
}

async fn wallets_of(state: &ApiState, account: &AccountId) -> Result<WalletsBody, Problem> {
    let wallets = state.store().wallets(account).await?;
    Ok(WalletsBody { items: wallets.iter().map(WalletBody::from).collect() })
}

/// The wallets that an account has or had, oldest first.
#[utoipa::path(get, path = "/v1/accounts/{account}/wallets", tag = "wallets", operation_id = "list_wallets",
    params(("account" = String, Path, description = "The account.", example = "alice")),
    responses((status = 200, description = "The wallets.", body = WalletsBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(account): PathId<AccountId>,
) -> Result<Json<WalletsBody>, Problem> {
    accounts::must_read(&caller, &account)?;
    Ok(Json(wallets_of(&state, &account).await?))
}

/// Lets go of a wallet. What was credited by it stays.
#[utoipa::path(delete, path = "/v1/accounts/{account}/wallets/{chain}/{wallet}", tag = "wallets",
    operation_id = "delete_wallet",
    params(("account" = String, Path, description = "The account.", example = "alice"),
        ("chain" = u64, Path, description = "The chain.", example = 1),
        ("wallet" = String, Path, description = "The wallet.")),
    responses((status = 200, description = "The account's wallets.", body = WalletsBody)))]
pub(crate) async fn unlink(
    State(state): State<ApiState>,
    caller: Caller,
    PathId((account, chain, wallet)): PathId<(AccountId, u64, String)>,
) -> Result<Json<WalletsBody>, Problem> {
    caller.may_set(&account)?;
    let wallet: Address = read_address("wallet", &wallet)?;
    let had = state.store().unlink_wallet(&account, ChainId(chain), wallet, state.now()).await?;
    if !had {
        let detail = format!("{account} has no wallet {wallet} on chain {chain}.");
        return Err(Problem::new(ProblemCode::WalletNotFound, detail));
    }
    Ok(Json(wallets_of(&state, &account).await?))
}
