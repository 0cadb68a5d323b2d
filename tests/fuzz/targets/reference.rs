//! Whatever calldata holds, a reference is read only behind an exact call of the token that pays the treasury.
#![no_main]

use inspay_chain_evm::reference_of;
use inspay_primitives::Address;
use libfuzzer_sys::fuzz_target;

const TOKEN: Address = Address::repeat_byte(0x70);
const TREASURY: Address = Address::repeat_byte(0x7e);

fuzz_target!(|input: &[u8]| {
    let Some((called, calldata)) = input.split_first() else { return };
    let called = match called % 3 {
        0 => None,
        1 => Some(TOKEN),
        _ => Some(Address::repeat_byte(*called)),
    };
    let Some(reference) = reference_of(called, calldata, TOKEN, TREASURY) else { return };
    assert_eq!(called, Some(TOKEN));
    let receiver = TREASURY.into_word();
    let (call, behind) = calldata.split_at(calldata.len() - 16);
    assert_eq!(behind, reference.bytes());
    match call {
        [0xa9, 0x05, 0x9c, 0xbb, words @ ..] => {
            assert_eq!((words.len(), &words[..32]), (64, receiver.as_slice()));
        }
        [0x23, 0xb8, 0x72, 0xdd, words @ ..] => {
            assert_eq!((words.len(), &words[32..64]), (96, receiver.as_slice()));
        }
        _ => panic!("a reference behind another call: {calldata:02x?}"),
    }
});
