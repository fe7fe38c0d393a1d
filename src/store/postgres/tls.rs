//! TLS to the database, as its URL wants it: with a certificate checked in full, by its chain alone, or not at all.
//!
//! Checking a chain without the name, and nothing, are what `sslmode=verify-ca` and `require` mean; whoever writes them has
//! said so. Called once, when the store is opened.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::shared_state::{DatabaseUrl, Roots, TlsWanted};
use crate::store::StoreFault;

/// What opens the TLS side of a connection.
///
/// # Errors
/// [`StoreFault`]: the roots cannot be read, or there are none.
pub(super) fn connector(url: &DatabaseUrl) -> Result<MakeRustlsConnect, StoreFault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let fault = |error: &dyn std::fmt::Display| StoreFault(format!("TLS to {url}: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(&error))?;
    let inner = match url.tls {
        TlsWanted::Never | TlsWanted::IfOffered | TlsWanted::Unchecked => None,
        TlsWanted::Chain | TlsWanted::ChainAndName => {
            let roots = roots(&url.roots).map_err(|error| fault(&error))?;
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            Some(builder.build().map_err(|error| fault(&error))?)
        }
    };
    let verifier = Verifier { inner, by_name: url.tls == TlsWanted::ChainAndName, provider };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn roots(from: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match from {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
        }
        Roots::File(path) => {
            let shown = path.display();
            let pem = std::fs::read(path);
            let pem = pem
                .map_err(|error| format!("the certificates in {shown} cannot be read: {error}"))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate
                    .map_err(|_| format!("{shown} is not a file of certificates in PEM"))?;
                store
                    .add(certificate)
                    .map_err(|error| format!("a certificate in {shown}: {error}"))?;
            }
        }
    }
    if store.is_empty() {
        return Err(match from {
            Roots::System => "this system has no root certificates: install ca-certificates, or name a file with sslrootcert".into(),
            Roots::File(path) => format!("{} has no certificate", path.display()),
        });
    }
    Ok(store)
}

/// Checks a certificate as far as `sslmode` asks, and always that the server has its key.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate will do.
    inner: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it must name the host.
    by_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last, so this fault says that the chain is good.
        match inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.by_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
