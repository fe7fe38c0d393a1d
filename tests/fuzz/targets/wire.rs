//! The wire guard: two step widths, then the bytes of a client's.
#![no_main]

use freshgate_fuzz::statements::wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    wire::hold(data);
});
