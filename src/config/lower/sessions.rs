//! `[tokens]` → [`SessionRules`]: rotation and the ends of a session, and what of it makes no sense together.

use std::time::Duration;

use super::Lowering;
use crate::config::Profile;
use crate::config::raw::RawTokens;
use crate::config::read::Spanned;
use crate::config::sessions::{REUSE_WINDOW_MAX, SESSION_MAX_DEFAULT, SessionRules};
use crate::config::values::MaybeZero;
use crate::config::words::RotationWord;

impl Lowering<'_> {
    pub(super) fn sessions(&mut self, raw: &RawTokens, profile: Profile) -> SessionRules {
        let said = raw.rotation.get().map(|word| word.value == RotationWord::On);
        // That library's clients keep the refresh token they have.
        let rotation = said.unwrap_or(profile != Profile::FlaskJwtExtended);
        let Spanned { value: MaybeZero(reuse_window), span } = raw.reuse_window();
        if reuse_window > REUSE_WINDOW_MAX {
            self.out.reuse_window_too_long(&span);
        }
        if !rotation && let Some(window) = raw.reuse_window.get() {
            self.out.window_without_rotation(&window.span);
        }
        let session_max = self.session_max(raw, rotation);
        let refresh_idle = raw.refresh_idle.get().map(|idle| idle.value);
        self.idle(raw, session_max);
        SessionRules { rotation, reuse_window, refresh_idle, session_max }
    }

    fn session_max(&mut self, raw: &RawTokens, rotation: bool) -> Duration {
        let (access, refresh) = (raw.access_ttl(), raw.refresh_ttl());
        let Some(most) = raw.session_max.get() else {
            let default = SESSION_MAX_DEFAULT.max(refresh.value);
            return if rotation { default } else { refresh.value };
        };
        if most.value < access.value {
            self.out.session_below_access(&most.span, &access.span);
        } else if refresh.value > most.value && !refresh.span.is_empty() {
            self.out.refresh_beyond_session(&refresh.span, &most.span);
        }
        if rotation {
            return most.value;
        }
        if most.value > refresh.value {
            self.out.session_without_rotation(&most.span);
        }
        most.value.min(refresh.value)
    }

    fn idle(&mut self, raw: &RawTokens, session_max: Duration) {
        let Some(idle) = raw.refresh_idle.get() else { return };
        let (access, refresh) = (raw.access_ttl(), raw.refresh_ttl());
        if idle.value <= access.value {
            self.out.idle_below_access(&idle.span, &access.span);
        } else if idle.value >= refresh.value.min(session_max) {
            self.out.idle_beyond_refresh(&idle.span);
        }
    }
}
