//! Whatever a settings file says, it is understood or refused with words.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(refusal) = inspay_gateway::check_settings(text) {
        assert!(!refusal.is_empty());
    }
});
