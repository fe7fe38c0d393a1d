//! The route table against the written rules: a line for the request, then a pattern a line.
#![no_main]

use freshgate_fuzz::statements::routes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    routes::hold(data);
});
