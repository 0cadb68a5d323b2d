//! JSON-RPC 2.0 as text: questions out, replies in.
//!
//! Never takes a reply for another's: replies of a batch are matched by their ids, and each must be
//! there once.

use inspay_ports::ChainErrorKind;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{classify::classify, wire::clip};

/// One question. Its position in a batch is its id.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub method: &'static str,
    params: Value,
}

impl Call {
    pub(crate) const fn new(method: &'static str, params: Value) -> Self {
        Self { method, params }
    }

    fn text(&self, id: usize) -> String {
        let Self { method, params } = self;
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }
}

/// The body that asks one question.
pub(crate) fn single_body(call: &Call) -> String {
    call.text(0)
}

/// The body that asks several at once.
pub(crate) fn batch_body(calls: &[Call]) -> String {
    let texts: Vec<String> = calls.iter().enumerate().map(|(id, call)| call.text(id)).collect();
    format!("[{}]", texts.join(","))
}

/// What one question was answered: `None` is the node's `null`.
pub(crate) type Answer<T> = Result<Option<T>, ChainErrorKind>;

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Reply<T> {
    #[serde(default)]
    id: Option<usize>,
    // Present and null is an answer; absent is none.
    #[serde(default = "absent", deserialize_with = "present")]
    result: Option<Option<T>>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

const fn absent<T>() -> Option<T> {
    None
}

fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl Refusal {
    fn kind(&self, method: &str) -> ChainErrorKind {
        // Some nodes keep the words that matter in `data`.
        match self.data.as_ref().and_then(Value::as_str) {
            Some(more) if !more.starts_with("0x") => {
                classify(method, self.code, &format!("{} {more}", self.message))
            }
            Some(_) | None => classify(method, self.code, &self.message),
        }
    }
}

impl<T> Reply<T> {
    fn answer(self, method: &str) -> Answer<T> {
        if let Some(refusal) = self.error {
            return Err(refusal.kind(method));
        }
        self.result.ok_or_else(|| {
            ChainErrorKind::Contradiction(format!("{method}: neither a result nor an error"))
        })
    }
}

/// One that was cut off on its way is no word of the node's.
fn unreadable(method: &str, error: &serde_json::Error) -> ChainErrorKind {
    let text = clip(&error.to_string());
    if error.is_eof() {
        return ChainErrorKind::Unreachable(format!("{method}: the answer is cut off: {text}"));
    }
    ChainErrorKind::Contradiction(format!("{method}: the answer cannot be read: {text}"))
}

/// Reads the reply to one question.
pub(crate) fn read_single<T: DeserializeOwned>(method: &str, body: &[u8]) -> Answer<T> {
    serde_json::from_slice::<Reply<T>>(body)
        .map_err(|error| unreadable(method, &error))?
        .answer(method)
}

/// Reads the replies to several questions, in the order asked.
///
/// # Errors
///
/// When the batch as a whole was refused, or a reply is missing, doubled or unreadable.
pub(crate) fn read_batch<T: DeserializeOwned>(
    methods: &[&'static str],
    body: &[u8],
) -> Result<Vec<Answer<T>>, ChainErrorKind> {
    let method = methods.first().copied().unwrap_or("a batch");
    if let Some(refusal) = refusal_in(method, body) {
        return Err(refusal);
    }
    let replies: Vec<Reply<T>> =
        serde_json::from_slice(body).map_err(|error| unreadable(method, &error))?;
    let mut answers: Vec<Option<Answer<T>>> = methods.iter().map(|_| None).collect();
    for reply in replies {
        // A node that cannot tell what it was asked answers with a null id.
        let Some(id) = reply.id else {
            let refused = reply.answer(method).err();
            return Err(refused.unwrap_or_else(|| {
                ChainErrorKind::Contradiction(format!("{method}: a reply without an id"))
            }));
        };
        match (answers.get_mut(id), methods.get(id)) {
            (Some(answer @ None), Some(method)) => *answer = Some(reply.answer(method)),
            _ => {
                let text = format!("{method}: reply {id} was not asked for, or came twice");
                return Err(ChainErrorKind::Contradiction(text));
            }
        }
    }
    answers
        .into_iter()
        .zip(methods)
        .map(|(answer, method)| {
            answer.ok_or_else(|| {
                ChainErrorKind::Contradiction(format!("{method}: a reply of the batch is missing"))
            })
        })
        .collect()
}

/// The refusal that a body consists of, if it is one JSON-RPC error.
pub(crate) fn refusal_in(method: &str, body: &[u8]) -> Option<ChainErrorKind> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    let reply: Reply<serde::de::IgnoredAny> = serde_json::from_slice(body).ok()?;
    reply.error.map(|refusal| refusal.kind(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [&str; 2] = ["eth_a", "eth_b"];

    fn batch(body: &str) -> Result<Vec<Answer<u64>>, ChainErrorKind> {
        read_batch(&METHODS, body.as_bytes())
    }

    fn contradicts<T>(outcome: &Result<T, ChainErrorKind>) -> bool {
        matches!(outcome, Err(ChainErrorKind::Contradiction(_)))
    }

    #[test]
    fn a_question_is_written_as_the_specification_says() {
        let call = Call::new("eth_call", serde_json::json!([{"to": "0x1"}, "latest"]));
        assert_eq!(
            batch_body(&[call.clone(), call]),
            r#"[{"jsonrpc":"2.0","id":0,"method":"eth_call","params":[{"to":"0x1"},"latest"]},{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x1"},"latest"]}]"#
        );
    }

    #[test]
    fn null_is_an_answer_and_nothing_is_none() {
        assert_eq!(read_single::<u64>("eth_a", br#"{"id":0,"result":null}"#), Ok(None));
        assert_eq!(read_single::<u64>("eth_a", br#"{"id":0,"result":7}"#), Ok(Some(7)));
        assert!(contradicts(&read_single::<u64>("eth_a", br#"{"id":0}"#)));
        assert!(contradicts(&read_single::<u64>("eth_a", br#"{"id":0,"result":"x"}"#)));
        assert!(contradicts(&read_single::<u64>("eth_a", b"<html>")));
        let refused = br#"{"id":0,"result":null,"error":{"code":-32000,"message":"Unauthorized"}}"#;
        assert!(matches!(read_single::<u64>("eth_a", refused), Err(ChainErrorKind::Refused(_))));
    }

    #[test]
    fn replies_of_a_batch_are_matched_by_their_ids() {
        let swapped = r#"[{"id":1,"result":8},{"id":0,"result":7}]"#;
        assert_eq!(batch(swapped), Ok(vec![Ok(Some(7)), Ok(Some(8))]));
        assert!(contradicts(&batch(r#"[{"id":1,"result":8}]"#)));
        assert!(contradicts(&batch(r#"[{"id":1,"result":8},{"id":1,"result":8}]"#)));
        assert!(contradicts(&batch(r#"[{"id":0,"result":8},{"id":2,"result":8}]"#)));
        assert!(contradicts(&batch(r#"[{"result":8},{"id":0,"result":8}]"#)));
    }

    #[test]
    fn what_was_cut_off_is_no_word_of_the_nodes() {
        for whole in [r#"[{"id":1,"result":8},{"id":0,"result":7}]"#, r#"{"id":0,"result":7}"#] {
            for length in 0..whole.len() {
                let body = &whole.as_bytes()[..length];
                let told = if whole.starts_with('[') {
                    read_batch::<u64>(&METHODS, body).map(drop)
                } else {
                    read_single::<u64>("eth_a", body).map(drop)
                };
                assert!(matches!(told, Err(ChainErrorKind::Unreachable(_))), "{told:?}");
            }
        }
    }

    #[test]
    fn a_batch_refused_as_a_whole_is_one_refusal() {
        let limited = r#"{"id":null,"error":{"code":429,"message":"too many requests"}}"#;
        assert!(matches!(batch(limited), Err(ChainErrorKind::RateLimited(_))));
        let inside = r#"[{"id":null,"error":{"code":429,"message":"too many requests"}}]"#;
        assert!(matches!(batch(inside), Err(ChainErrorKind::RateLimited(_))));
    }

    #[test]
    fn words_in_the_data_of_a_refusal_count() {
        let body = br#"{"id":0,"error":{"code":-32603,"message":"Server error","data":"query exceeds max block range 500"}}"#;
        let expected = Some(500);
        assert!(matches!(
            read_single::<u64>("eth_getLogs", body),
            Err(ChainErrorKind::RangeTooLarge { named, .. }) if named.blocks_max == expected
        ));
    }
}
