//! One spelling, and no reader finds another path: the first byte is the knobs of `[paths]`, the rest the path.
#![no_main]

use freshgate_fuzz::statements::paths;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    paths::hold(data);
});
