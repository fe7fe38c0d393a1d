//! Bearer tokens and the header firewall, by the first byte.
#![no_main]

use freshgate_fuzz::statements::{credentials, firewall};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'\n', values)) => credentials::hold(values),
        _ => firewall::hold(data),
    }
});
