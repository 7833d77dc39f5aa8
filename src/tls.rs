//! TLS, set up in one way for the token endpoint and for the stores: on ring, whatever the process
//! has installed as rustls's default, and verified.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Whom TLS trusts.
#[derive(Clone)]
pub(crate) enum Trust {
    /// Whom the platform trusts.
    Platform,
    /// The authorities in this PEM file, and no others.
    CaFile(PathBuf),
    /// Nobody: for what is never used, where the platform may have no roots.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "transport")),
        allow(dead_code)
    )]
    Nobody,
    /// Whomever the user's own configuration does.
    #[cfg_attr(not(any(feature = "postgres", feature = "redis")), allow(dead_code))]
    Custom(Box<ClientConfig>),
}

impl Trust {
    /// The error names the file, and nothing secret.
    pub(crate) fn config(&self) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::Platform => builder.with_platform_verifier()?,
            Self::CaFile(path) => builder.with_root_certificates(roots(path)?),
            Self::Nobody => builder.with_root_certificates(RootCertStore::empty()),
            Self::Custom(config) => return Ok((**config).clone()),
        };
        Ok(builder.with_no_client_auth())
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let of = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| of(&error))? {
        let certificate = certificate.map_err(|error| of(&error))?;
        roots.add(certificate).map_err(|error| of(&error))?;
    }
    if roots.is_empty() {
        return Err(of(&"no certificate in it"));
    }
    Ok(roots)
}
