//! Whom an outbound connection believes: the system's roots, else those that are built in.

use anyhow::{Context, bail};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The settings of every TLS connection. Reads files: a few milliseconds, not for a task that others wait for.
pub fn settings(roots_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let roots = match roots_file {
        Some(path) => from_file(path)?,
        None => system_or_bundled(),
    };
    let mut settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS has no version that the provider knows")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

/// Roots from a PEM file, and no others.
fn from_file(path: &Path) -> anyhow::Result<RootCertStore> {
    let unreadable = || format!("the roots in {} cannot be read", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
    }
    if roots.is_empty() {
        bail!("there is no certificate in {}", path.display());
    }
    Ok(roots)
}

/// In an image made from nothing there is no system to ask.
fn system_or_bundled() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::info!(failures = found.errors.len(), "the system has no TLS roots; the built-in ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_roots() {
        assert!(!system_or_bundled().is_empty());
        assert!(settings(None).is_ok());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(settings(Some(Path::new("/nonexistent"))).is_err());
        assert!(settings(Some(Path::new("/dev/null"))).is_err());
    }
}
