//! Any text as a configuration. It is written to a file where it is good, below the system's temporary directory.
#![no_main]

use std::sync::LazyLock;

use freshgate_fuzz::statements::configuration;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    configuration::hold(data, FOLDER.path());
});
