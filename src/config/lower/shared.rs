//! `[state] postgres` and `stale_max`: the state that many gateways share.

use super::Lowering;
use crate::config::SharedState;
use crate::config::raw::RawFile;
use crate::config::shared_state::DatabaseUrl;

impl Lowering<'_> {
    /// Gateways that share sessions must share keys too, or none believes what another signed: in the file, and not in a
    /// folder of this gateway's own.
    pub(super) fn shared_state(&mut self, file: &RawFile) -> Option<SharedState> {
        let raw = &file.state.get()?.value;
        let Some(reference) = raw.postgres.get() else {
            if let (Some(stale_max), true) = (raw.stale_max.get(), raw.postgres.is_missing()) {
                self.out.stale_max_alone(&stale_max.span);
            }
            return None;
        };
        // Those that are named and cannot be read are another mistake.
        let keys = file.tokens.get().and_then(|tokens| tokens.value.key.get());
        if keys.is_none_or(|keys| keys.value.0.is_empty()) {
            self.out.keys_of_many(&reference.span);
        }
        let users = file.login.get().and_then(|login| login.value.users.get());
        let backend = users.and_then(|users| users.value.backend.get());
        // Only the gateway that took the login has them in its memory.
        if let Some(kept) = backend.and_then(|backend| backend.value.keep_cookies.get()) {
            self.out.cookies_of_many(&kept.span, &reference.span);
        }
        // Another machine, which only compares, need not have it.
        if self.outlined.is_some() {
            return None;
        }
        let resolved = self.resolve(reference, true)?;
        match DatabaseUrl::parse(resolved.secret.expose()) {
            Ok(database) => Some(SharedState { database, stale_max: raw.stale_max().value }),
            Err(why) => {
                self.out.database_url(&reference.span, &resolved.origin, why);
                None
            }
        }
    }
}
