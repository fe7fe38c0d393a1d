//! The words for what is wrong with `[events]`: one method for each mistake.

use super::{Diagnostics, Span};
use crate::config::events::SECRET_BYTES;
use crate::config::trust::UrlFault;

impl Diagnostics {
    /// A URL that cannot be posted to. It is never repeated.
    pub(crate) fn webhook_url(&mut self, span: &Span, fault: UrlFault) {
        self.hide(span);
        let why = match fault {
            UrlFault::NoUrl => "it is not a URL",
            UrlFault::NotWhole => "it is not a whole URL",
            UrlFault::UserOrFragment => "it has a user name or a `#` in it",
            UrlFault::NoHost => "it has no host and port that can be used",
            UrlFault::NoTls => "without TLS, whoever is on the way reads who logs in",
            UrlFault::NotHttps => "it is not an https URL",
        };
        let help = match fault {
            UrlFault::NoTls => {
                "write https://; http:// is for an address that is listed in `allow_private`"
            }
            _ => "write it as https://HOST/PATH",
        };
        let title = format!("the URL of the webhook cannot be used: {why}");
        self.error("webhook-url", span, title, "this URL", help);
    }

    /// Messages that anybody on the way can read.
    pub(crate) fn webhook_without_tls(&mut self, span: &Span) {
        self.hide(span);
        self.warning(
            "webhook-without-tls",
            Some(span),
            "the webhook is told over the network without TLS".to_owned(),
            "whoever is on the way reads who logs in, and from where",
            "use https://, with `ca` for certificates of your own",
        );
    }

    /// A secret that is none; it is never repeated.
    pub(crate) fn webhook_secret(&mut self, span: &Span, origin: &str, found: Option<usize>) {
        let why = match found {
            Some(bytes) => format!("has {bytes} bytes"),
            None => "is not `whsec_` and base64".to_owned(),
        };
        let title = format!(
            "the secret of the webhook ({origin}) {why}; it needs {} to {} bytes in base64",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        );
        let help = "make one: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"";
        self.error("webhook-secret", span, title, "wanted here", help);
    }
}
