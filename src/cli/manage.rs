//! stub
use std::path::Path;
/// x
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// l
    List,
}
/// x
pub fn run_user(_c: UserCommand, _users: &Path) -> Result<(), super::Failure> {
    Ok(())
}
