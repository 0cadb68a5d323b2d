//! Keys and what they may do.
//!
//! A key is shown once and kept as its SHA-256: keys have 256 random bits, so a plain hash is
//! enough and one lookup by hash finds it. Never logs a key.

use std::fmt;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use inspay_ports::KeyScope;
use inspay_primitives::{AccountId, B256};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    problem::{Problem, ProblemCode},
    state::ApiState,
};

const KEY_PREFIX: &str = "ik_";

/// A new key: the only moment at which it is known.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    secret: String,
    hash: B256,
}

impl NewKey {
    /// The key, to be shown once and kept nowhere.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What is kept of it.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Makes a key of 256 random bits from the operating system, written `ik_…`.
#[must_use]
pub fn generate_key() -> NewKey {
    // A version-4 UUID has 122 random bits; the hash of three mixes more than 256 into the key.
    let digest = (0..3)
        .fold(Sha256::new(), |hasher, _| hasher.chain_update(Uuid::new_v4().as_bytes()))
        .finalize();
    let secret = format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(digest));
    let hash = hash_key(&secret);
    NewKey { secret, hash }
}

/// What is kept of a key.
#[must_use]
pub fn hash_key(secret: &str) -> B256 {
    B256::from_slice(&Sha256::digest(secret))
}

/// Who asks: the key's scope and hash.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) scope: KeyScope,
    pub(crate) key_hash: B256,
}

impl Caller {
    /// Refuses unless this key may act for, or read, that account. An account's key learns nothing
    /// of others, not even whether they exist: the caller names the problem.
    pub(crate) fn reads(&self, account: &AccountId) -> bool {
        match &self.scope {
            KeyScope::Account(own) => own == account,
            KeyScope::Application | KeyScope::Finance | KeyScope::Operator => true,
        }
    }

    /// Refuses keys that may only read.
    pub(crate) fn may_buy(&self) -> Result<(), Problem> {
        match self.scope {
            KeyScope::Account(_) | KeyScope::Application | KeyScope::Operator => Ok(()),
            KeyScope::Finance => {
                Err(Problem::new(ProblemCode::Forbidden, "A finance key reads, it does not buy."))
            }
        }
    }

    /// Refuses keys that do not use up credits for others: buyers buy, the application spends.
    pub(crate) fn may_spend(&self) -> Result<(), Problem> {
        match self.scope {
            KeyScope::Application | KeyScope::Operator => Ok(()),
            KeyScope::Account(_) | KeyScope::Finance => Err(Problem::new(
                ProblemCode::Forbidden,
                "Only application and operator keys hold, spend and grant credits.",
            )),
        }
    }

    /// Refuses keys that may not set what an account allows itself.
    pub(crate) fn may_set(&self, account: &AccountId) -> Result<(), Problem> {
        match &self.scope {
            KeyScope::Application | KeyScope::Operator => Ok(()),
            KeyScope::Account(own) if own == account => Ok(()),
            KeyScope::Account(_) | KeyScope::Finance => {
                Err(Problem::new(ProblemCode::Forbidden, "This key sets nothing for that account."))
            }
        }
    }

    /// Refuses keys that act for another account.
    pub(crate) fn may_buy_for(&self, account: &AccountId) -> Result<(), Problem> {
        self.may_buy()?;
        if self.reads(account) {
            Ok(())
        } else {
            Err(Problem::at(
                ProblemCode::Forbidden,
                "/account",
                "This key buys for its own account only.",
            ))
        }
    }

    /// Refuses keys that may not see what belongs to nobody yet.
    pub(crate) fn may_read_suspense(&self) -> Result<(), Problem> {
        match self.scope {
            KeyScope::Finance | KeyScope::Operator => Ok(()),
            KeyScope::Account(_) | KeyScope::Application => Err(Problem::new(
                ProblemCode::Forbidden,
                "Only finance and operator keys list transfers that belong to nobody yet.",
            )),
        }
    }

    /// Refuses keys that may not see what finance has to look at.
    pub(crate) fn may_read_cases(&self) -> Result<(), Problem> {
        match self.scope {
            KeyScope::Finance | KeyScope::Operator => Ok(()),
            KeyScope::Account(_) | KeyScope::Application => Err(Problem::new(
                ProblemCode::Forbidden,
                "Only finance and operator keys read cases.",
            )),
        }
    }

    /// The only account that this key sees, if it is bound to one.
    pub(crate) fn own_account(&self) -> Option<&AccountId> {
        match &self.scope {
            KeyScope::Account(own) => Some(own),
            KeyScope::Application | KeyScope::Finance | KeyScope::Operator => None,
        }
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::at(ProblemCode::Unauthenticated, "Authorization", detail)
}

/// Reads the key of a request. Never repeats what was sent.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| unauthenticated("Send the header Authorization: Bearer <key>."))?;
    let malformed = || unauthenticated("The header is not of the form Bearer <key>.");
    let text = value.to_str().map_err(|_| malformed())?;
    let (scheme, key) = text.split_once(' ').ok_or_else(malformed)?;
    let is_key = scheme.eq_ignore_ascii_case("bearer") && key.starts_with(KEY_PREFIX);
    if is_key { Ok(key) } else { Err(malformed()) }
}

async fn identify(state: &ApiState, headers: &HeaderMap) -> Result<Caller, Problem> {
    let key_hash = hash_key(bearer(headers)?);
    let unknown = || unauthenticated("This key is not known or was revoked.");
    let record = state.store().key(key_hash).await?.ok_or_else(unknown)?;
    if record.revoked_at <= state.now() {
        return Err(unknown());
    }
    Ok(Caller { scope: record.scope, key_hash })
}

/// Lets nobody past without a valid key.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    match identify(&state, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route outside of `authenticate` has no caller.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthenticated("A key is needed."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_different_and_never_printed() {
        let (one, other) = (generate_key(), generate_key());
        assert_ne!(one.secret(), other.secret());
        // 32 bytes in base64 without padding.
        assert_eq!(one.secret().len(), KEY_PREFIX.len() + 43);
        assert_eq!(hash_key(one.secret()), one.hash());
        assert!(!format!("{one:?}").contains(one.secret()));
    }

    #[test]
    fn a_header_is_read_or_refused_without_being_repeated() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().expect("a header"));
            bearer(&headers).map(str::to_owned).map_err(|problem| problem.detail)
        };
        assert_eq!(read("Bearer ik_abc"), Ok("ik_abc".to_owned()));
        assert_eq!(read("bearer ik_abc"), Ok("ik_abc".to_owned()));
        for wrong in ["ik_abc", "Basic ik_abc", "Bearer abc", "Bearer", ""] {
            assert!(!read(wrong).expect_err("refused").contains("abc"), "{wrong}");
        }
    }
}
