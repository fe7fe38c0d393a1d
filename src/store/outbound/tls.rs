//! TLS of requests of our own: the server's certificate and its name are always checked, and nothing turns that off.
//! Whether a certificate was revoked is not asked.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{OptionsFault, Why};

/// Whom we believe.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// Whether the system has no roots, as small container images do.
    pub(super) rootless: bool,
}

/// TLS 1.2 and 1.3 with the roots of the system (or of `SSL_CERT_FILE`, `SSL_CERT_DIR`) and these besides.
///
/// # Errors
/// [`OptionsFault`]. A system without roots is no fault: then only the given ones are believed.
pub(super) fn config(ca: Option<&[u8]>) -> Result<Tls, OptionsFault> {
    let mut roots = RootCertStore::empty();
    // What cannot be read there is for whoever looks after the system, and trusts nobody.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let rootless = roots.is_empty();
    if let Some(pem) = ca {
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            count += 1;
            let certificate = certificate.map_err(|_| OptionsFault::Certificate(count))?;
            roots.add(certificate).map_err(|_| OptionsFault::Certificate(count))?;
        }
        if count == 0 {
            return Err(OptionsFault::NoCertificate);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionsFault::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls { config: Arc::new(config), rootless })
}

/// The handshake; done only when the server has proved that it is `host`.
///
/// # Errors
/// [`Why::Tls`].
pub(super) async fn handshake(
    tls: &Tls,
    host: String,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Why> {
    let name = ServerName::try_from(host)
        .map_err(|_| Why::Tls("no certificate can be for a host of this name".to_owned()))?;
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    connector.connect(name, stream).await.map_err(|error| Why::Tls(reason(&error, tls.rootless)))
}

fn reason(error: &io::Error, rootless: bool) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(fault)) = inner else { return error.to_string() };
    let sentence = match fault {
        CertificateError::UnknownIssuer if rootless => {
            "no certificate is trusted here, since this system has no roots; install `ca-certificates`"
        }
        // A root of the same name is not the one that signed.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is from nobody that is trusted here"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        // What names it has instead is the server's word, and is not repeated.
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        _ => "the certificate cannot be believed",
    };
    sentence.to_owned()
}
