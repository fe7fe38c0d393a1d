//! Whom to trust when a database shows its certificate: the authorities of the system, or those of one file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Certificates of authorities, and the configuration that trusts them and nobody else.
pub struct Trust {
    /// For PostgreSQL.
    pub config: ClientConfig,
    /// For MySQL, whose client makes its own configuration of them.
    pub roots: Vec<Vec<u8>>,
}

/// Reads the certificates of a file in PEM, or those that the system trusts.
///
/// # Errors
/// There are none, or one that cannot be read.
pub fn trust(ca: Option<&Path>) -> Result<Trust, String> {
    let certificates = match ca {
        Some(path) => {
            let fault = |what: &str| format!("the certificates in {}: {what}", path.display());
            let read =
                CertificateDer::pem_file_iter(path).map_err(|error| fault(&error.to_string()))?;
            let read =
                read.collect::<Result<Vec<_>, _>>().map_err(|error| fault(&error.to_string()))?;
            if read.is_empty() {
                return Err(fault("there are none"));
            }
            read
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(
            "there is no certificate to trust: install ca-certificates, or name a file with `ca`"
                .into(),
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Trust { config, roots: certificates.iter().map(|one| one.to_vec()).collect() })
}
