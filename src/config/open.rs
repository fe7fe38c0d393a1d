//! Opens files that an operator names, without waiting for anybody.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// A file to read, and what it is: the opened file is asked and not its name, so nobody can swap it in between. A pipe
/// that nobody writes to would otherwise hold whoever opens it for ever.
///
/// # Errors
/// It cannot be opened.
pub fn without_waiting(path: &Path) -> io::Result<(File, Metadata)> {
    let waits_not = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(waits_not).open(path)?;
    let about = file.metadata()?;
    Ok((file, about))
}
