//! Step 5: who the caller proves to be. From memory or by signature, with the keys of the issuer that the token names.

use super::tokens::Budget;
use super::{Scene, Snapshot};
use crate::token::Standing;
use crate::token::extract::Presented;
use crate::token::trust::Unread;

impl Scene<'_> {
    /// From what was presented to who it proves, from memory or by signature; then revocation, in memory.
    pub(super) fn prove(&self, presented: Presented<'_>) -> Standing {
        let token = match presented.token() {
            Ok(token) => token,
            Err(standing) => return standing,
        };
        let each_second = self.snapshot.config.limits.token_failures;
        let Snapshot { keys, config, .. } = &**self.snapshot;
        let trusted = (keys, &config.tokens);
        let budget = Budget { address: self.client.origin, each_second };
        let signed = match self.data.tokens.read(token, trusted, budget) {
            Ok(signed) => signed,
            Err(Unread { fault, may_have_new_keys }) => {
                // Whoever asks next has them; nobody waits.
                let issuer = may_have_new_keys.and_then(|one| self.snapshot.issuers.get(one));
                issuer.into_iter().flatten().for_each(|keys| keys.unknown_kid());
                return Standing::Unproven(fault);
            }
        };
        match self.snapshot.state.revocations().fault(signed.claims(), self.now) {
            Some(fault) => Standing::Unproven(fault),
            None => keys.standing(&signed, &config.tokens, self.now),
        }
    }
}
