//! `[tokens]` and `[[tokens.key]]`: what tokens must say, and key material read from where it is kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::env;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Lowering;
use crate::config::diagnostic::Span;
use crate::config::open::without_waiting;
use crate::config::raw::{RawKey, RawTokens};
use crate::config::read::Spanned;
use crate::config::secret::SecretRef;
use crate::config::values::MaybeZero;
use crate::config::{KeyOutline, Profile, Resolved, Trust};
use crate::token::keys::{Algorithm, Key, KeyMaterial, KeySpec};
use crate::token::verify::{LEEWAY_MAX, TokenRules};
use crate::token::{RESERVED_CLAIMS, SUBJECT, Secret};

/// Bytes of a secret file at most: no key is larger.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

impl Lowering<'_> {
    pub(super) fn tokens(
        &mut self,
        raw: Option<&Spanned<RawTokens>>,
    ) -> (TokenRules, Vec<KeySpec>, Vec<Trust>) {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        for (text, at, example) in [
            (raw.issuer.get(), "tokens.issuer", "issuer = \"https://app.example.org\""),
            (raw.audience.get(), "tokens.audience", "audience = \"my-app\""),
        ] {
            if let Some(text) = text.filter(|text| text.value.is_empty()) {
                self.out.empty_text(&text.span, at, example);
            }
        }
        let (access, refresh) = (raw.access_ttl(), raw.refresh_ttl());
        if access.value > refresh.value {
            self.out.ttl_order(&access.span, &refresh.span);
        }
        let identity = raw.identity_claim();
        let taken = RESERVED_CLAIMS.contains(&identity.value.as_str());
        if identity.value.is_empty() || (taken && identity.value != SUBJECT) {
            self.out.identity_claim(&identity.span, &identity.value);
        }
        let Spanned { value: MaybeZero(leeway), span } = raw.leeway();
        if leeway > LEEWAY_MAX {
            self.out.leeway_too_long(&span);
        }
        let others = raw.trust.get().map(|list| list.value.0.as_slice()).unwrap_or_default();
        let rules = TokenRules {
            issuer: raw.issuer.get().map(|text| text.value.clone()),
            audience: raw.audience.get().map(|text| text.value.clone()),
            access_ttl: access.value,
            refresh_ttl: refresh.value,
            leeway,
            csrf: raw.profile().value.profile() == Profile::FlaskJwtExtended,
            identity_claim: identity.value,
            others: !others.is_empty(),
        };
        let list = raw.key.get().map(|list| list.value.0.as_slice()).unwrap_or_default();
        self.unique_ids(list);
        let keys = list.iter().filter_map(|key| self.key(key)).collect();
        let trusts = self.trusts(others, &rules);
        (rules, keys, trusts)
    }

    fn unique_ids(&mut self, list: &[Spanned<RawKey>]) {
        let mut firsts: HashMap<&str, &Span> = HashMap::new();
        for id in list.iter().filter_map(|key| key.value.id.get()) {
            match firsts.entry(&id.value) {
                Entry::Occupied(first) => {
                    self.out.duplicate_key_id(&id.span, first.get(), &id.value);
                }
                Entry::Vacant(place) => {
                    place.insert(&id.span);
                }
            }
        }
    }

    fn key(&mut self, raw: &Spanned<RawKey>) -> Option<KeySpec> {
        let (key, here) = (&raw.value, &raw.span);
        if key.id.is_missing() {
            self.out.missing_key(here, "tokens.key", "id", "a name, such as id = \"k1\"");
        }
        if let Some(id) = key.id.get().filter(|id| id.value.is_empty()) {
            self.out.empty_text(&id.span, "tokens.key.id", "a name, such as id = \"k1\"");
        }
        if key.alg.is_missing() {
            self.out.missing_key(here, "tokens.key", "alg", "alg = \"HS256\" or alg = \"ES256\"");
        }
        let (reference, kind) = self.material(key, here)?;
        if let Some(outlined) = &mut self.outlined {
            outlined.push(outline(key, reference, kind)?);
            return None;
        }
        let resolved = self.resolve(reference, kind != Kind::Public)?;
        let (id, alg) = (key.id.get()?, key.alg.get()?);
        let algorithm = alg.value.algorithm();
        let bytes = resolved.secret.expose();
        if bytes.len() < algorithm.secret_bytes_min() {
            let found = bytes.len();
            self.out.weak_secret(&reference.span, algorithm, found);
            return None;
        }
        if algorithm.is_symmetric() && is_guessable(bytes) {
            self.out.guessable_secret(&reference.span);
            return None;
        }
        let material = match kind {
            Kind::Secret => KeyMaterial::Secret(resolved.secret),
            Kind::Private => KeyMaterial::Private(resolved.secret),
            Kind::Public => KeyMaterial::Public(resolved.secret),
        };
        let spec = KeySpec { id: id.value.clone(), algorithm, material };
        if let Err(fault) = Key::parse(&spec) {
            self.out.key_fault(&reference.span, &id.value, fault.0);
            return None;
        }
        Some(spec)
    }

    /// The one reference that fits the algorithm.
    fn material<'k>(
        &mut self,
        key: &'k RawKey,
        here: &Span,
    ) -> Option<(&'k Spanned<SecretRef>, Kind)> {
        let kinds = [
            (&key.secret, "secret", Kind::Secret),
            (&key.private, "private", Kind::Private),
            (&key.public, "public", Kind::Public),
        ];
        let given: Vec<_> = kinds.iter().filter(|(field, ..)| !field.is_missing()).collect();
        let symmetric = key.alg.get().map(|alg| alg.value.algorithm().is_symmetric());
        let fitting = match symmetric {
            Some(true) => "secret = { env = \"NAME\" } or secret = { file = \"PATH\" }",
            Some(false) => "private = { file = \"PATH\" }, or public = { file = \"PATH\" }",
            None => {
                "secret (HS256 and its kind), private or public (all others), as { file = \"PATH\" }"
            }
        };
        let [(field, name, kind)] = given.as_slice() else {
            let why = match given.len() {
                0 => "this key has no key material",
                _ => "this key has more than one of `secret`, `private` and `public`",
            };
            self.out.key_material(here, why, &format!("give it exactly one: {fitting}"));
            return None;
        };
        let wrong = symmetric.is_some_and(|symmetric| symmetric != (*kind == Kind::Secret));
        let reference = field.get();
        if wrong {
            let span = reference.map_or(here, |reference| &reference.span);
            let why = format!("`{name}` does not fit the algorithm of this key");
            self.out.key_material(span, &why, &format!("write {fitting}, or change `alg`"));
            return None;
        }
        reference.map(|reference| (reference, *kind))
    }

    /// Reads a secret from where it is kept. Never says a byte of it.
    pub(super) fn resolve(
        &mut self,
        reference: &Spanned<SecretRef>,
        private: bool,
    ) -> Option<Resolved> {
        match &reference.value {
            SecretRef::Env(name) => {
                let value = env::var_os(name).filter(|value| !value.is_empty());
                let Some(value) = value else {
                    let set = if env::var_os(name).is_some() { "empty" } else { "not set" };
                    let why = format!("the environment variable {name} is {set}");
                    let help = format!("set it before the gateway starts: export {name}=…");
                    self.out.secret_unresolved(&reference.span, &why, &help);
                    return None;
                };
                let secret = Secret::new(value.into_encoded_bytes());
                Some(Resolved { secret, origin: format!("env {name}") })
            }
            SecretRef::File(name) => {
                let path = self.path(name);
                let secret = self.secret_file(&path, &reference.span, private)?;
                Some(Resolved { secret, origin: format!("file {}", path.display()) })
            }
        }
    }

    fn secret_file(&mut self, path: &Path, span: &Span, private: bool) -> Option<Secret> {
        let shown = path.display();
        let help = "see that the file is there and that the gateway's user can read it";
        let (file, about) = match without_waiting(path) {
            Ok(opened) => opened,
            Err(fault) => {
                let why = format!("the file {shown} cannot be read: {}", reason(&fault));
                self.out.secret_unresolved(span, &why, help);
                return None;
            }
        };
        if !about.is_file() {
            self.out.secret_unresolved(span, &format!("{shown} is not a regular file"), help);
            return None;
        }
        if private && about.permissions().mode() & READABLE_BY_OTHERS != 0 {
            self.out.secret_readable(span, path, about.permissions().mode());
        }
        let mut bytes = Vec::new();
        if let Err(fault) = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes) {
            let why = format!("the file {shown} cannot be read: {}", reason(&fault));
            self.out.secret_unresolved(span, &why, help);
            return None;
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        let why = match bytes.len() as u64 {
            0 => format!("the file {shown} is empty"),
            SECRET_BYTES_MAX.. => format!("the file {shown} is too large for a key"),
            _ => return Some(Secret::new(bytes)),
        };
        self.out.secret_unresolved(span, &why, "is this the right file?");
        None
    }
}

/// A secret that somebody typed to get past the length, or copied from an example.
fn is_guessable(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let lower = secret.to_ascii_lowercase();
    let known = |example: &&str| lower.windows(example.len()).any(|one| one == example.as_bytes());
    different < DIFFERENT_BYTES_MIN || WELL_KNOWN.iter().any(known)
}

/// Of 32 random hex digits 14 are different; the chance of fewer than 8 is below one in a million.
const DIFFERENT_BYTES_MIN: usize = 8;
/// What tutorials and jwt.io use.
const WELL_KNOWN: [&str; 5] =
    ["256-bit-secret", "secret-at-least-256-bits", "changeme", "change-me", "super-secret"];

/// What is known of a key without reading it; `None` when a part is missing, which was reported.
fn outline(key: &RawKey, reference: &Spanned<SecretRef>, kind: Kind) -> Option<KeyOutline> {
    let origin = match &reference.value {
        SecretRef::Env(name) => format!("env {name}"),
        SecretRef::File(name) => format!("file {name}"),
    };
    let algorithm: Algorithm = key.alg.get()?.value.algorithm();
    let signs = kind != Kind::Public;
    Some(KeyOutline { id: key.id.get()?.value.clone(), algorithm, signs, origin })
}

/// Which of the three a reference stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Private,
    Public,
}

/// Any right of the group or of others.
const READABLE_BY_OTHERS: u32 = 0o077;

/// Why a file cannot be read, without the number of the operating system's error.
pub(super) fn reason(fault: &std::io::Error) -> String {
    match fault.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => fault.to_string(),
    }
}
