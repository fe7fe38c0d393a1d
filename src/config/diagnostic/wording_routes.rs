//! The words for what is wrong with listeners, upstreams and routes: one method for each mistake.

use super::wording::listed;
use super::{Diagnostics, Span, nearest};

impl Diagnostics {
    // Listeners.

    /// Not an address with a port.
    pub(crate) fn bad_address(&mut self, span: &Span, at: &str, text: &str) {
        let help = match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("write the address itself: \"127.0.0.1:{port}\""),
            Some(("" | "*", port)) => {
                format!(
                    "\"127.0.0.1:{port}\" is this machine only, \"0.0.0.0:{port}\" is every interface"
                )
            }
            _ => "write an address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\""
                .to_owned(),
        };
        self.error(
            "bad-address",
            span,
            format!("`{at}`: `{text}` is not an address and a port"),
            "here",
            &help,
        );
    }

    /// Both listeners on one address.
    pub(crate) fn same_address(&mut self, admin: &Span, listen: &Span) {
        let (span, other) = if admin.is_empty() { (listen, admin) } else { (admin, listen) };
        self.error(
            "same-address",
            span,
            "`listen` and `admin` are the same address".to_owned(),
            "taken by the other one",
            "give the operator's listener another port, or write admin = \"off\"",
        );
        if !other.is_empty() {
            self.beside(other, "the same address");
        }
    }

    /// The operator's listener within reach of others.
    pub(crate) fn public_admin(&mut self, span: &Span) {
        self.warning(
            "public-admin",
            Some(span),
            "`admin` listens beyond this machine and asks for no token".to_owned(),
            "anybody who reaches it reads metrics",
            "write \"127.0.0.1:8081\", or see to it that only operators reach this address",
        );
    }

    /// Neither an address nor a network.
    pub(crate) fn bad_network(&mut self, span: &Span, text: &str) {
        self.error(
            "bad-network",
            span,
            format!("`{text}` is not an address or a network"),
            "here",
            "write \"10.0.0.0/8\" for a network, \"192.0.2.7\" for one proxy",
        );
    }

    // Upstreams.

    /// Not a backend's URL.
    pub(crate) fn bad_upstream(&mut self, span: &Span, what: &str, help: &str) {
        self.error("bad-upstream", span, format!("this upstream {what}"), "here", help);
    }

    /// `upstream` and `[upstreams.default]`.
    pub(crate) fn two_defaults(&mut self, table: &Span, top: &Span) {
        self.error(
            "two-defaults",
            table,
            "the upstream `default` is given twice".to_owned(),
            "given here",
            "remove `upstream` at the top, or rename this one",
        );
        self.beside(top, "`upstream` is the one named `default`");
    }

    /// A route that names an upstream nobody defined.
    pub(crate) fn unknown_upstream(&mut self, span: &Span, name: &str, known: &[&str]) {
        let help = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if known.is_empty() => {
                format!("define it: [upstreams.{name}] with url = \"http://127.0.0.1:9000\"")
            }
            None => format!("define [upstreams.{name}], or use one of {}", listed(known)),
        };
        self.error(
            "unknown-upstream",
            span,
            format!("no upstream is named `{name}`"),
            "never defined",
            &help,
        );
    }

    /// A route with nowhere to go.
    pub(crate) fn no_upstream(&mut self, span: &Span, known: &[&str]) {
        let help = if known.is_empty() {
            "add upstream = \"http://127.0.0.1:9000\" at the top of the file".to_owned()
        } else {
            format!(
                "add upstream = \"…\" to the route, with one of {}, or name one of them `default`",
                listed(known)
            )
        };
        self.error(
            "no-upstream",
            span,
            "this route has no upstream to go to".to_owned(),
            "where should it go?",
            &help,
        );
    }

    /// A `host` that cannot be sent.
    pub(crate) fn bad_host(&mut self, span: &Span, text: &str) {
        self.error(
            "bad-host",
            span,
            format!("`{text}` cannot be sent as `Host`"),
            "here",
            "write \"keep\", \"upstream\", or a host name such as \"app.example.org\"",
        );
    }

    // Routes.

    /// Everything is refused.
    pub(crate) fn no_routes(&mut self, span: Option<&Span>) {
        self.warning(
            "no-routes",
            span,
            "there are no routes: every request is refused".to_owned(),
            "empty",
            "add [routes] with a line such as \"/**\" = \"access-required\"",
        );
    }

    /// Not a pattern.
    pub(crate) fn bad_pattern(&mut self, span: &Span, what: &str) {
        self.error("bad-pattern", span, format!("this pattern cannot be used: {what}"), "here", "a pattern is `[METHOD[,METHOD] ][host]/path`, such as \"/account/**\" or \"POST /login\"");
    }

    /// `account/**`: a host, by the grammar, and probably a path.
    pub(crate) fn path_like_host(&mut self, span: &Span, host: &str) {
        let text = self.text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
        let help = format!(
            "if a path is meant, write \"{}\"",
            text.replacen(host, &format!("/{host}"), 1)
        );
        self.warning(
            "path-like-host",
            Some(span),
            format!("`{host}` in front of the path is a host name"),
            "matches only requests to that host",
            &help,
        );
    }

    /// Two patterns that no request can tell apart.
    pub(crate) fn tie(&mut self, second: &Span, first: &Span) {
        self.error("tie", second, "two patterns tie: the same requests match both, and neither is more specific".to_owned(), "ties with the other", "remove one of the two, or make one more specific with a method, a host or a literal segment");
        self.beside(first, "this pattern");
    }

    /// A pattern that takes one of our own URLs.
    pub(crate) fn endpoint_taken(&mut self, span: &Span, endpoint: &str) {
        let help = if endpoint.contains("/.well-known/") {
            "remove this line: the gateway answers there itself"
        } else {
            "remove this line, move the endpoints with `at` in `[login]`, or switch them off with enabled = false"
        };
        self.error(
            "endpoint-taken",
            span,
            format!("`{endpoint}` is an endpoint of the gateway"),
            "this pattern takes its requests",
            help,
        );
    }

    /// A key that the policy ignores.
    pub(crate) fn ignored_by_policy(&mut self, span: &Span, key: &str, policy: &str, help: &str) {
        self.error(
            "ignored-by-policy",
            span,
            format!("`{key}` has no meaning with the policy `{policy}`"),
            "would be ignored",
            help,
        );
    }

    /// Methods in the pattern and in `methods`.
    pub(crate) fn methods_twice(&mut self, methods: &Span, pattern: &Span) {
        self.error(
            "methods-twice",
            methods,
            "the methods are given twice".to_owned(),
            "given here",
            "keep those of the pattern, or those of `methods`",
        );
        self.beside(pattern, "and in the pattern");
    }

    /// A method that no request has.
    pub(crate) fn bad_method(&mut self, span: &Span, what: &str) {
        self.error(
            "bad-method",
            span,
            format!("this method cannot be used: {what}"),
            "here",
            "write methods in capitals, such as \"GET\" or \"POST\"",
        );
    }

    /// `methods = []`.
    pub(crate) fn no_methods(&mut self, span: &Span) {
        self.error(
            "no-methods",
            span,
            "`methods` names no method: the route could never match".to_owned(),
            "empty",
            "name methods, such as [\"POST\", \"PUT\"], or remove the key for all of them",
        );
    }

    /// A list of methods as long as a file.
    pub(crate) fn too_many_methods(&mut self, span: &Span, most: usize) {
        self.error(
            "bad-method",
            span,
            format!("a route names at most {most} methods"),
            "too many",
            "remove `methods` to take all of them",
        );
    }

    /// `{name}` that the pattern does not have.
    pub(crate) fn unknown_capture(
        &mut self,
        span: &Span,
        name: &str,
        pattern: &Span,
        known: &[&str],
    ) {
        let help = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{{{meant}}}`?"),
            None if known.is_empty() => {
                format!("name a segment of the pattern, such as \"/{{{name}}}/**\"")
            }
            None => format!("the pattern's names are {}", listed(known)),
        };
        self.error(
            "unknown-capture",
            span,
            format!("the pattern has no segment `{{{name}}}`"),
            "not in the pattern",
            &help,
        );
        self.beside(pattern, "this pattern");
    }

    /// A wanted value that no claim can be compared with.
    pub(crate) fn bad_wanted_value(&mut self, span: &Span, claim: &str, found: &str) {
        self.error(
            "claim-value",
            span,
            format!("the claim `{claim}` cannot be compared with {found}"),
            "here",
            "write a text, a number, true or false, or a list of these",
        );
    }

    /// A list of wanted values with nothing in it.
    pub(crate) fn no_wanted_values(&mut self, span: &Span, claim: &str) {
        self.error(
            "claim-value",
            span,
            format!("no value would do for the claim `{claim}`"),
            "an empty list",
            "name the values that pass, such as [\"admin\", \"editor\"]",
        );
    }

    /// A rewrite that makes no path.
    pub(crate) fn bad_rewrite(&mut self, span: &Span, what: &str, help: &str) {
        self.error(
            "bad-rewrite",
            span,
            format!("this rewrite cannot be used: {what}"),
            "here",
            help,
        );
    }

    /// A log filter that cannot be read.
    pub(crate) fn bad_log_level(&mut self, span: &Span, text: &str) {
        let help = match nearest(text, ["error", "warn", "info", "debug", "trace"]) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned(),
        };
        self.error(
            "log-level",
            span,
            format!("`log.level`: `{text}` is not a level"),
            "here",
            &help,
        );
    }

    /// Something that cannot be a file name.
    pub(crate) fn empty_text(&mut self, span: &Span, at: &str, example: &str) {
        self.error(
            "empty",
            span,
            format!("`{at}` is empty"),
            "nothing here",
            &format!("write {example}, or remove the line"),
        );
    }
}
