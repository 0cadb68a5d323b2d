//! Extractors that refuse with a problem document.
//!
//! Never guesses: an unknown key or parameter is refused, so that a typing error cannot be a default.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody, JsonRejection},
    },
    http::{StatusCode, request::Parts},
};
use inspay_primitives::{Address, IdError};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::problem::{Problem, ProblemCode};

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// The query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

/// The parts of the path.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

/// What is said of a body that is larger than the limit.
pub(crate) fn body_too_large() -> Problem {
    Problem::new(
        ProblemCode::BodyTooLarge,
        format!("The limit is {} bytes.", crate::router::BODY_BYTES_MAX),
    )
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not ours and not exhaustive; what is not told apart is a body that cannot be read"
)]
fn body_problem(rejection: JsonRejection) -> Problem {
    match rejection {
        JsonRejection::JsonSyntaxError(error) => {
            Problem::new(ProblemCode::JsonMalformed, error.body_text())
        }
        JsonRejection::JsonDataError(error) => {
            Problem::new(ProblemCode::BodyInvalid, error.body_text())
        }
        JsonRejection::MissingJsonContentType(_) => Problem::at(
            ProblemCode::ContentTypeUnsupported,
            "Content-Type",
            "Send the header Content-Type: application/json.",
        ),
        JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(
            FailedToBufferBody::LengthLimitError(_),
        )) => body_too_large(),
        other => Problem::new(ProblemCode::JsonMalformed, other.body_text()),
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Json::<ObjectOnly<T>>::from_request(request, state).await;
        let Json(ObjectOnly(body)) = body.map_err(body_problem)?;
        Ok(Self(body))
    }
}

/// A JSON object: a list of values without names would fill the fields of a struct by their order.
struct ObjectOnly<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for ObjectOnly<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ObjectVisitor<T> {
    type Value = ObjectOnly<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(ObjectOnly)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new(ProblemCode::QueryInvalid, rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) if rejection.status() == StatusCode::INTERNAL_SERVER_ERROR => {
                Err(Problem::internal(&rejection))
            }
            Err(rejection) => Err(Problem::new(ProblemCode::PathInvalid, rejection.body_text())),
        }
    }
}

/// Reads an address as people write it. Mixed case must have the right checksum (EIP-55).
pub(crate) fn read_address(at: &str, text: &str) -> Result<Address, Problem> {
    let problem = |detail: &str| Problem::at(ProblemCode::AddressMalformed, at, detail);
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| problem("An address is 0x and 40 hex digits."))?;
    let has_lower = digits.bytes().any(|byte| byte.is_ascii_lowercase());
    let has_upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_lower && has_upper {
        Address::parse_checksummed(text, None)
            .map_err(|_| problem("The address's checksum is wrong: a letter is mistyped."))
    } else {
        text.parse().map_err(|_| problem("An address is 0x and 40 hex digits."))
    }
}

/// Reads a typed id of a body or a query.
pub(crate) fn read_id<T: std::str::FromStr<Err = IdError>>(
    code: ProblemCode,
    at: &str,
    text: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|error: IdError| Problem::at(code, at, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_by_their_checksum() {
        let cases = [
            ("0xdAC17F958D2ee523a2206206994597C13D831ec7", true),
            ("0xdac17f958d2ee523a2206206994597c13d831ec7", true),
            ("0xDAC17F958D2EE523A2206206994597C13D831EC7", true),
            ("0xdAC17F958D2ee523a2206206994597C13D831eC7", false),
            ("dac17f958d2ee523a2206206994597c13d831ec7", false),
            ("0xdac17f958d2ee523a2206206994597c13d831ec", false),
            ("0xdac17f958d2ee523a2206206994597c13d831eg7", false),
            ("", false),
        ];
        for (text, is_read) in cases {
            assert_eq!(read_address("/payer", text).is_ok(), is_read, "{text}");
        }
    }
}
