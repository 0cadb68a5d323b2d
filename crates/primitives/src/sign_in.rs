//! Signing in with Ethereum (EIP-4361): the message that a wallet signs to be proven, and who signed it. Pure.
//!
//! Reads only what it would write itself: a message with other or further fields is refused. Never decides
//! whether a message is still good: that takes a clock and a store.

use alloy_primitives::{Address, B256, Signature, eip191_hash_message};

use crate::{AccountId, ChainId, Timestamp};

/// The longest message that is read.
const TEXT_BYTES_MAX: usize = 2_048;

/// What follows the domain on the first line.
const FIRST_LINE: &str = " wants you to sign in with your Ethereum account:";

/// What the statement says before and behind the account.
const STATEMENT: (&str, &str) = ("This wallet pays for the account ", ". Signing costs nothing.");

/// A sign-in message with everything that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whose site asks: host, with its port where that is not the usual one.
    pub domain: String,
    /// The wallet that is to sign.
    pub wallet: Address,
    /// The account that the wallet is proven for, told in the statement.
    pub account: AccountId,
    /// What the signing is for.
    pub uri: String,
    /// The chain on which a contract wallet answers.
    pub chain_id: ChainId,
    /// Letters and digits, at least eight, never used before.
    pub nonce: String,
    /// When the message was made.
    pub issued_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// Why a text is no sign-in message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has no valid {0}")]
pub struct SignInError(pub &'static str);

/// Whether a text may stand for a nonce.
fn is_nonce(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text may stand for a domain or an URI: printed ASCII without spaces.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl SignIn {
    /// The text that the wallet signs.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { domain, wallet, account, uri, chain_id, nonce, issued_at, expires_at } = self;
        let (before, behind) = STATEMENT;
        let wallet = wallet.to_checksum(None);
        format!(
            "{domain}{FIRST_LINE}\n{wallet}\n\n{before}{account}{behind}\n\nURI: {uri}\nVersion: 1\n\
             Chain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued_at}\nExpiration Time: {expires_at}"
        )
    }

    /// Reads what [`Self::to_text`] wrote, and nothing else: the same message is the same text.
    ///
    /// # Errors
    ///
    /// The first field that is missing or not valid.
    pub fn parse(text: &str) -> Result<Self, SignInError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SignInError("length"));
        }
        let mut lines = text.split('\n');
        let mut line = |what| lines.next().ok_or(SignInError(what));
        let domain = line("domain")?.strip_suffix(FIRST_LINE).filter(|text| is_name(text));
        let domain = domain.ok_or(SignInError("domain"))?.to_owned();
        let wallet = Address::parse_checksummed(line("address")?, None);
        let wallet = wallet.map_err(|_| SignInError("address"))?;
        line("statement").and_then(is_empty)?;
        let statement = line("statement")?.strip_prefix(STATEMENT.0);
        let account = statement.and_then(|text| text.strip_suffix(STATEMENT.1)?.parse().ok());
        let account = account.ok_or(SignInError("statement"))?;
        line("statement").and_then(is_empty)?;
        let mut field = |name: &'static str| {
            let value = line(name)?.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            value.ok_or(SignInError(name))
        };
        let uri = Some(field("URI")?).filter(|uri| is_name(uri)).ok_or(SignInError("URI"))?;
        if field("Version")? != "1" {
            return Err(SignInError("Version"));
        }
        let chain_id = field("Chain ID")?.parse().map(ChainId);
        let chain_id = chain_id.map_err(|_| SignInError("Chain ID"))?;
        let nonce = Some(field("Nonce")?).filter(|nonce| is_nonce(nonce));
        let nonce = nonce.ok_or(SignInError("Nonce"))?.to_owned();
        let mut time = |name| field(name)?.parse::<Timestamp>().map_err(|_| SignInError(name));
        let (issued_at, expires_at) = (time("Issued At")?, time("Expiration Time")?);
        let uri = uri.to_owned();
        let read = Self { domain, wallet, account, uri, chain_id, nonce, issued_at, expires_at };
        // A field behind the last one, another way to write a number or a time.
        if read.to_text() == text { Ok(read) } else { Err(SignInError("form")) }
    }
}

fn is_empty(line: &str) -> Result<(), SignInError> {
    if line.is_empty() { Ok(()) } else { Err(SignInError("statement")) }
}

/// What a wallet signs in place of a text: its digest by EIP-191.
#[must_use]
pub fn digest_to_sign(text: &str) -> B256 {
    eip191_hash_message(text)
}

/// Whose key signed a text. `None` where the bytes are no signature of any key; a contract's may be of any form.
#[must_use]
pub fn signer_of(text: &str, signature: &[u8]) -> Option<Address> {
    let signature = Signature::from_raw(signature).ok()?;
    // The other half of the curve says the same once more: one message has one signature.
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_msg(text).ok()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    fn message() -> SignIn {
        SignIn {
            domain: "pay.example:8080".to_owned(),
            wallet: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".parse().expect("an address"),
            account: "alice@example".parse().expect("an account"),
            uri: "https://pay.example:8080/wallets".to_owned(),
            chain_id: ChainId(1),
            nonce: "0123456789abcdef".to_owned(),
            issued_at: "2026-03-01T12:00:00Z".parse().expect("a time"),
            expires_at: "2026-03-01T12:10:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn a_message_reads_as_eip_4361_says() {
        let text = "pay.example:8080 wants you to sign in with your Ethereum account:\n\
            0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n\n\
            This wallet pays for the account alice@example. Signing costs nothing.\n\n\
            URI: https://pay.example:8080/wallets\nVersion: 1\nChain ID: 1\nNonce: 0123456789abcdef\n\
            Issued At: 2026-03-01T12:00:00Z\nExpiration Time: 2026-03-01T12:10:00Z";
        assert_eq!(message().to_text(), text);
        assert_eq!(SignIn::parse(text), Ok(message()));
    }

    #[test]
    fn whatever_is_written_otherwise_is_refused() {
        let text = message().to_text();
        let changes = [
            ("pay.example:8080 wants", " wants", "domain"),
            ("pay.example:8080 wants", "pay example wants", "domain"),
            ("sign in with", "sign in  with", "domain"),
            // An address without a checksum, and with a wrong one.
            (
                "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
                "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
                "address",
            ),
            ("0x7E5F", "0x7e5F", "address"),
            ("account alice@example.", "account two words.", "statement"),
            ("This wallet", "That wallet", "statement"),
            ("\n\nThis", "\nThis", "statement"),
            ("URI: https", "URL: https", "URI"),
            ("URI: https://pay.example:8080/wallets", "URI: ", "URI"),
            ("Version: 1", "Version: 2", "Version"),
            ("Chain ID: 1", "Chain ID: one", "Chain ID"),
            ("Chain ID: 1", "Chain ID: 01", "form"),
            ("Nonce: 0123456789abcdef", "Nonce: 0123456", "Nonce"),
            ("Nonce: 0123456789abcdef", "Nonce: 01234567-9abcdef", "Nonce"),
            ("Issued At: 2026-03-01T12", "Issued At: 2026-13-01T12", "Issued At"),
            ("Expiration Time: 2026-03-01T12:10:00Z", "Expiration Time: soon", "Expiration Time"),
            ("12:10:00Z", "12:10:00.000Z", "form"),
            ("12:10:00Z", "12:10:00Z\nRequest ID: 7", "form"),
            ("12:10:00Z", "12:10:00Z\n", "form"),
            ("\nNonce: 0123456789abcdef", "", "Nonce"),
        ];
        for (from, to, field) in changes {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert_eq!(SignIn::parse(&changed), Err(SignInError(field)), "{from} -> {to}");
        }
        assert_eq!(SignIn::parse(""), Err(SignInError("domain")));
        assert_eq!(SignIn::parse(&"x".repeat(3_000)), Err(SignInError("length")));
    }

    #[test]
    fn bytes_of_another_form_have_no_signer() {
        for wrong in [vec![], vec![0; 64], vec![0; 65], vec![1; 66], hex!("ff").repeat(65)] {
            assert_eq!(signer_of("a text", &wrong), None, "{wrong:?}");
        }
    }
}
