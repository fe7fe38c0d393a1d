//! The words for what was probably not meant, and for `[[test]]`: one method for each mistake. A warning says how to
//! say that it was meant.

use super::wording::DURATION_UNITS;
use super::wording::listed;
use super::{Diagnostics, Span};

impl Diagnostics {
    // Warnings.

    /// Tokens in the clear.
    pub(crate) fn no_tls(&mut self, span: &Span) {
        self.warning(
            "no-tls",
            Some(span),
            "`listen` is open to other machines, and the gateway does not speak TLS".to_owned(),
            "whoever sees the traffic reads the tokens",
            "put a proxy that speaks TLS in front and name it in `trusted_proxies`, or listen on \"127.0.0.1:…\"; if plain HTTP is meant, such as inside a container, write plaintext = true",
        );
    }

    /// Many gateways, and each with keys of its own.
    pub(crate) fn keys_of_many(&mut self, span: &Span) {
        self.warning(
            "keys-of-many",
            Some(span),
            "gateways that share this state have no key in common".to_owned(),
            "none believes a token that another signed",
            "give all of them the same [[tokens.key]] and the same users; if [state] dir is one folder that all of them share, this is well",
        );
    }

    /// A limit of something that is not there.
    pub(crate) fn stale_max_alone(&mut self, span: &Span) {
        self.warning(
            "stale-max-alone",
            Some(span),
            "`stale_max` says nothing without `postgres`".to_owned(),
            "no effect",
            "remove it, or add postgres = { env = \"DATABASE_URL\" }",
        );
    }

    /// A public page in a protected folder.
    pub(crate) fn opened(
        &mut self,
        route: (&Span, &str, &'static str),
        around: (&Span, &str, &'static str),
    ) {
        let ((span, id, policy), (other, outer, needs)) = (route, around);
        self.warning(
            "opened",
            Some(span),
            format!("`{id}` is `{policy}` inside of `{outer}`, which is `{needs}`"),
            "passes without a token",
            &format!("give it a stronger policy; if this is meant, write {{ policy = \"{policy}\", exception = true }}, or name GET and one page without wildcards"),
        );
        self.beside(other, "would cover it");
    }

    /// A rewrite that leads around the policy of another line at the same backend.
    pub(crate) fn rewrite_opens(
        &mut self,
        route: (&Span, &str, &str),
        around: (&Span, &str, &str),
        asked: &str,
    ) {
        let ((span, id, policy), (other, outer, needs)) = (route, around);
        self.warning(
            "rewrite-opens",
            Some(span),
            format!("`{id}` is `{policy}` and is rewritten into `{outer}`, which is `{needs}`"),
            &format!("`{asked}` gets there"),
            &format!("add a line for that path below `{id}`, rewrite to a prefix of its own, or give `{id}` at least `{needs}`; if this is meant, give it the key exception = true"),
        );
        self.beside(other, "protects the same pages under their own name");
    }

    /// Methods that change things have less to prove than the one that reads, because the line `change` says so.
    pub(crate) fn weaker_method(
        &mut self,
        read: (&Span, &str, &str),
        change: (&Span, &str, &str),
        methods: &[&str],
    ) {
        let ((other, _, needs), (span, id, policy)) = (read, change);
        let title = weaker(methods, policy, needs);
        let help = format!(
            "give `{id}` at least `{needs}`; if this is meant, give it the key exception = true"
        );
        self.warning("weaker-method", Some(span), title, "what changes things comes here", &help);
        self.beside(other, "what reads comes here");
    }

    /// The same because no line says anything, and a more general one takes them.
    pub(crate) fn forgotten_method(
        &mut self,
        read: (&Span, &str, &str),
        change: (&Span, &str, &str),
        methods: &[&str],
    ) {
        let ((span, id, needs), (other, outer, policy)) = (read, change);
        let which = listed(methods);
        let title = weaker(methods, policy, needs);
        let help = format!(
            "leave the methods out of `{id}`, or add a line for {which}; if this is meant, give `{id}` the key exception = true"
        );
        self.warning(
            "forgotten-method",
            Some(span),
            title,
            "only the methods named come here",
            &help,
        );
        self.beside(other, &format!("`{outer}` takes the others"));
    }

    /// A line without effect.
    pub(crate) fn unreachable(&mut self, span: &Span, too_long: bool) {
        let (label, help) = match too_long {
            true => ("longer than `target_max` of `[limits]`", "raise `target_max`"),
            false => ("other patterns are more specific for each of its requests", "remove it"),
        };
        let title = "no request can reach this route".to_owned();
        self.warning("unreachable-route", Some(span), title, label, help);
    }

    /// Policies that are only tried out.
    pub(crate) fn report_mode(&mut self, span: &Span, routes: &[&str], more: usize) {
        let names = listed(routes);
        let title = match (routes.len(), more) {
            (1, 0) => format!("the policy of {names} is not enforced"),
            (_, 0) => format!("the policies of {names} are not enforced"),
            _ => format!("the policies of {names} and {more} more routes are not enforced"),
        };
        self.warning(
            "report-mode",
            Some(span),
            title,
            "what the policy would refuse passes",
            "when the log shows nothing unexpected any more, remove mode = \"report\"",
        );
    }

    /// A key, a token or a password where everybody who edits the file sees it.
    pub(crate) fn secret_in_file(&mut self, span: &Span, what: &str) {
        self.hide(span);
        self.warning(
            "secret-in-file",
            Some(span),
            format!("this looks like {what}"),
            "readable by whoever reads the file or its backups",
            "remove it, and if it was ever used, replace it; a secret of the gateway is { env = \"NAME\" } or { file = \"PATH\" }",
        );
    }

    /// A secret that an example or one key of the keyboard made.
    pub(crate) fn guessable_secret(&mut self, span: &Span) {
        self.error(
            "weak-secret",
            span,
            "the secret can be guessed: it is a well-known example, or repeats few characters".to_owned(),
            "one token is enough to find it out",
            "make one with `openssl rand -base64 48`, and give it to every backend that shares the key",
        );
    }

    // Tests in the file.

    /// Not a method and a path.
    pub(crate) fn bad_request(&mut self, span: &Span, what: &str) {
        self.error(
            "test-request",
            span,
            format!("this request cannot be asked: {what}"),
            "here",
            "write a method and a path, such as \"POST /account/password\", or a URL: \"GET http://app.example.org/\"",
        );
    }

    /// The file is in another encoding; `at` is the first byte that shows it, and has become U+FFFD.
    pub(crate) fn not_utf8(&mut self, at: usize) {
        let line = self.text[..at].matches('\n').count() + 1;
        self.error(
            "unreadable-file",
            &(at..at + char::REPLACEMENT_CHARACTER.len_utf8()),
            format!("{} is not UTF-8: line {line}", self.name),
            "this byte",
            "save it as UTF-8",
        );
    }

    /// Headers that no test can have.
    pub(crate) fn unasked_header(&mut self, span: &Span, name: &str, help: &str) {
        self.error(
            "test-header",
            span,
            format!("`{name}` among the headers of a test is not looked at"),
            "would be ignored",
            help,
        );
    }

    /// Months and years: how long they are nobody agrees on.
    pub(crate) fn calendar_unit(
        &mut self,
        span: &Span,
        at: &str,
        text: &str,
        unit: &std::ops::Range<usize>,
    ) {
        let place = self.within(span, text, unit);
        let word = &text[unit.clone()];
        let meant = if word == "M" { "`M` would be months; minutes are `m`, and " } else { "" };
        self.error(
            "bad-duration",
            &place,
            format!("`{at}`: `{word}` has no fixed length"),
            "not a unit",
            &format!("{meant}the units are {DURATION_UNITS}"),
        );
    }

    /// `"user-{id}"` among the claims: a name takes a whole value.
    pub(crate) fn partial_capture(&mut self, span: &Span, inside: &str) {
        self.error(
            "partial-capture",
            span,
            format!("`{inside}` is not put into a longer text"),
            "would be compared letter for letter, braces included",
            &format!("write \"{inside}\" alone, for a claim that is equal to that segment"),
        );
    }

    /// A method that is nearly one that everybody knows.
    pub(crate) fn odd_method(&mut self, span: &Span, method: &str, meant: &str) {
        self.warning(
            "odd-method",
            Some(span),
            format!("`{method}` is not a method that clients use"),
            "matches only requests with this method",
            &format!("did you mean `{meant}`?"),
        );
    }

    /// A header field that cannot be sent.
    pub(crate) fn bad_test_header(&mut self, span: &Span, name: &str) {
        self.error(
            "header-name",
            span,
            format!("`{name}` with this value is not a header field"),
            "here",
            "write a field such as Origin = \"https://app.example.org\"",
        );
    }

    /// Said by another key.
    pub(crate) fn reserved_claim(&mut self, span: &Span, claim: &str) {
        let help = match claim {
            "sub" | "type" | "fresh" => format!("write {claim} = … beside `claims`"),
            "auth_time" => "write auth_age = \"6m\" beside `claims`".to_owned(),
            _ => "remove it: the gateway writes it".to_owned(),
        };
        self.error(
            "reserved-claim",
            span,
            format!("`{claim}` is a claim that the gateway writes itself"),
            "here",
            &help,
        );
    }

    /// `upstream` or `path` of a request that is refused.
    pub(crate) fn beyond_refusal(&mut self, span: &Span, key: &str, expect: &str) {
        self.error(
            "test-contradiction",
            span,
            format!("a request that is refused with `{expect}` has no `{key}`"),
            "no backend gets it",
            "expect = \"pass\", or remove this line",
        );
    }

    /// Another answer than expected. `route` is the one that won, with its place.
    pub fn test_failed(
        &mut self,
        span: &Span,
        title: String,
        label: &str,
        route: Option<(&Span, &str)>,
        help: &str,
    ) {
        self.error("test-failed", span, title, label, help);
        if let Some((place, label)) = route {
            self.beside(place, label);
        }
    }
}

fn weaker(methods: &[&str], policy: &str, needs: &str) -> String {
    let verb = if methods.len() == 1 { "needs" } else { "need" };
    format!("{} {verb} only `{policy}` where GET needs `{needs}`", listed(methods))
}
