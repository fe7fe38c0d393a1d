//! The words for what is wrong with `[[tokens.trust]]`: one method for each mistake.

use super::{Diagnostics, Span};
use crate::config::trust::UrlFault;

impl Diagnostics {
    /// Anything else that is wrong with a `[[tokens.trust]]`.
    pub(crate) fn trust_refused(&mut self, span: &Span, title: &str, label: &str, help: &str) {
        self.error("trust-refused", span, title.to_owned(), label, help);
    }

    /// A URL that keys cannot be fetched from.
    pub(crate) fn jwks_url(&mut self, span: &Span, fault: UrlFault) {
        let title = match fault {
            UrlFault::NoUrl => "`jwks` is not a URL",
            UrlFault::NotWhole => "`jwks` is not a whole URL",
            UrlFault::UserOrFragment => "`jwks` has a user name or a `#` in it",
            UrlFault::NoHost => "`jwks` has no host and port that can be used",
            UrlFault::NoTls => {
                "`jwks` is read without TLS: whoever is on the way can put keys of their own there"
            }
            UrlFault::NotHttps => "`jwks` is not an https URL",
        };
        let help = match fault {
            UrlFault::NoTls => {
                "write https://; http:// is for an address that is listed in `allow_private`"
            }
            _ => "write it as the issuer's discovery document has it in `jwks_uri`",
        };
        self.trust_refused(span, title, "this URL", help);
    }

    /// Two issuers of one name, or one that is called like the gateway itself.
    pub(crate) fn issuer_twice(&mut self, span: &Span, first: Option<&Span>, issuer: &str) {
        let title = match first {
            Some(_) => format!("the issuer `{issuer}` is there twice"),
            None => format!("`{issuer}` is the `issuer` of this gateway itself"),
        };
        let help = "each token is checked with the keys of the one issuer that its `iss` names";
        self.error("issuer-twice", span, title, "the second one", help);
        if let Some(first) = first {
            self.beside(first, "the first one");
        }
    }

    /// `"corp"` and `"corp:"`.
    pub(crate) fn prefixes_overlap(&mut self, span: &Span, other: &Span) {
        self.error(
            "subject-prefix",
            span,
            "one `subject_prefix` begins another: a subject could be of both issuers".to_owned(),
            "this one",
            "let none begin with another, or make them equal if both speak of the same people",
        );
        self.beside(other, "and this one");
    }

    /// A path with an empty name.
    pub(crate) fn bad_claim_path(&mut self, span: &Span, at: &str) {
        self.error(
            "claim-path",
            span,
            format!("`{at}` does not say where a claim is"),
            "an empty name, or none",
            "write \"realm_access.roles\", or [\"https://example.org/roles\"] where a name has dots",
        );
    }
}
