//! What is believed: two choices, a line for the header, a line to spoil the token with, and the payload.
#![no_main]

use freshgate_fuzz::statements::tokens;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tokens::hold(data);
});
