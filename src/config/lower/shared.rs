//! `[state] postgres` and `stale_max`: the state that many gateways share.

use super::Lowering;
use crate::config::SharedState;
use crate::config::database::DatabaseUrl;
use crate::config::raw::RawState;
use crate::config::read::Spanned;

impl Lowering<'_> {
    pub(super) fn shared_state(&mut self, raw: Option<&Spanned<RawState>>) -> Option<SharedState> {
        let raw = &raw?.value;
        let Some(reference) = raw.postgres.get() else {
            if let (Some(stale_max), true) = (raw.stale_max.get(), raw.postgres.is_missing()) {
                self.out.stale_max_alone(&stale_max.span);
            }
            return None;
        };
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

    /// Gateways that share sessions must share keys too, or none believes what another signed.
    pub(super) fn keys_of_many(&mut self, raw: Option<&Spanned<RawState>>, has_keys: bool) {
        let reference = raw.and_then(|raw| raw.value.postgres.get());
        if let (Some(reference), false) = (reference, has_keys) {
            self.out.keys_of_many(&reference.span);
        }
    }
}
