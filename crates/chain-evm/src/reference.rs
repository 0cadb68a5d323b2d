//! The reference that a buyer's calldata carries behind a token's own call.
//!
//! Never guesses: other lengths, other calls and other receivers carry none.

use alloy::primitives::Address;
use inspay_primitives::Reference;

const WORD: usize = 32;
const SELECTOR: usize = 4;
const REFERENCE: usize = 16;
/// `transfer(address,uint256)`.
const TRANSFER: [u8; SELECTOR] = [0xa9, 0x05, 0x9c, 0xbb];
/// `transferFrom(address,address,uint256)`.
const TRANSFER_FROM: [u8; SELECTOR] = [0x23, 0xb8, 0x72, 0xdd];

/// Reads the reference behind `calldata` that was sent to `called`.
///
/// There is one only where the token itself was called, with exactly a `transfer` or a `transferFrom`
/// to the treasury and exactly 16 bytes behind it. The value is not looked at: a token may take a fee
/// out of it, and what arrived is the log's word.
#[must_use]
pub fn reference_of(
    called: Option<Address>,
    calldata: &[u8],
    token: Address,
    treasury: Address,
) -> Option<Reference> {
    if called != Some(token) {
        return None;
    }
    let (selector, rest) = calldata.split_first_chunk::<SELECTOR>()?;
    // Which argument is the receiver, and how many there are.
    let (receiver, words) = match *selector {
        TRANSFER => (0, 2),
        TRANSFER_FROM => (1, 3),
        _ => return None,
    };
    if rest.len() != words * WORD + REFERENCE {
        return None;
    }
    let word = rest.get(receiver * WORD..(receiver + 1) * WORD)?;
    if word != treasury.into_word().as_slice() {
        return None;
    }
    rest.last_chunk::<REFERENCE>().copied().map(Reference::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const TREASURY: Address = Address::repeat_byte(0x7e);
    const OTHER: Address = Address::repeat_byte(0x01);

    fn word(address: Address) -> Vec<u8> {
        address.into_word().to_vec()
    }

    fn calldata(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn only_a_direct_call_with_exactly_sixteen_bytes_behind_it_names_an_order() {
        let reference = [0xab; 16];
        let to = word(TREASURY);
        let from = word(OTHER);
        let value = [0x11; 32];
        let selector = |text: u32| text.to_be_bytes();
        let transfer = selector(0xa905_9cbb);
        let transfer_from = selector(0x23b8_72dd);
        let good = calldata(&[&transfer, &to, &value, &reference]);
        let from_good = calldata(&[&transfer_from, &from, &to, &value, &reference]);
        let mut dirty = to.clone();
        dirty[0] = 1;
        let cases: Vec<(&str, Option<Address>, Vec<u8>, bool)> = vec![
            ("transfer", Some(TOKEN), good.clone(), true),
            ("transferFrom", Some(TOKEN), from_good.clone(), true),
            ("sent to another contract", Some(OTHER), good.clone(), false),
            ("a creation", None, good.clone(), false),
            ("no reference", Some(TOKEN), calldata(&[&transfer, &to, &value]), false),
            (
                "no reference, from",
                Some(TOKEN),
                calldata(&[&transfer_from, &from, &to, &value]),
                false,
            ),
            ("a byte short", Some(TOKEN), good[..good.len() - 1].to_vec(), false),
            ("a byte long", Some(TOKEN), calldata(&[&good, &[0]]), false),
            ("a word behind", Some(TOKEN), calldata(&[&good, &reference]), false),
            ("from, a byte short", Some(TOKEN), from_good[..from_good.len() - 1].to_vec(), false),
            (
                "another receiver",
                Some(TOKEN),
                calldata(&[&transfer, &from, &value, &reference]),
                false,
            ),
            (
                "from the treasury to another",
                Some(TOKEN),
                calldata(&[&transfer_from, &to, &from, &value, &reference]),
                false,
            ),
            (
                "a receiver with dirty upper bytes",
                Some(TOKEN),
                calldata(&[&transfer, &dirty, &value, &reference]),
                false,
            ),
            (
                "another selector",
                Some(TOKEN),
                calldata(&[&selector(0x095e_a7b3), &to, &value, &reference]),
                false,
            ),
            (
                "another selector of the length of transferFrom",
                Some(TOKEN),
                calldata(&[&transfer, &from, &to, &value, &reference]),
                false,
            ),
            ("nothing", Some(TOKEN), Vec::new(), false),
            ("a selector alone", Some(TOKEN), transfer.to_vec(), false),
            ("garbage", Some(TOKEN), vec![0xff; 84], false),
        ];
        for (name, called, calldata, carries) in cases {
            let expected = carries.then(|| Reference::from_bytes(reference));
            assert_eq!(reference_of(called, &calldata, TOKEN, TREASURY), expected, "{name}");
        }
    }
}
