//! Tokens in cookies and in the query, by the first byte.
#![no_main]

use freshgate_fuzz::statements::places;

libfuzzer_sys::fuzz_target!(|data: &[u8]| places::hold(data));
