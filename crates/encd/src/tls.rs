//! TLS of the services' listeners: a certificate and its key from files, which may change while the node runs.
//!
//! The files are read again on [`Tls::reload`] (SIGHUP) and every `tls.check_ms`. A connection keeps the certificate that it began with; the
//! next one gets the new. Files that do not fit each other, as in the middle of a renewal, change nothing.

use crate::config::TlsConfig;
use anyhow::{Context, bail};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// What makes TLS of a connection.
#[derive(Debug)]
pub struct Tls {
    acceptor: TlsAcceptorOf,
    files: Files,
    shown: Arc<Shown>,
    provider: Arc<CryptoProvider>,
    /// SHA-256 of both files as they were when they were last taken. One reload at a time.
    taken: Mutex<[u8; 32]>,
}

/// What came of reading the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are what they were.
    Unchanged,
    /// New connections are shown another certificate.
    Taken,
}

/// An acceptor, which says nothing of itself.
struct TlsAcceptorOf(TlsAcceptor);

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// As configured; nothing where no files are.
    ///
    /// # Errors
    /// A file cannot be read, or the two do not fit each other.
    pub fn from_config(config: &TlsConfig) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) else { return Ok(None) };
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let provider = Arc::new(ring::default_provider());
        let (digest, pair) = files.read(&provider)?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(pair))));
        let mut settings = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS has no version that the provider knows")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptorOf(TlsAcceptor::from(Arc::new(settings)));
        Ok(Some(Tls { acceptor, files, shown, provider, taken: Mutex::new(digest) }))
    }

    /// What makes a connection one of TLS.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.0.clone()
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// They cannot be used; what was shown before is shown on.
    pub fn reload(&self) -> anyhow::Result<Reloaded> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, pair) = self.files.read(&self.provider)?;
        if digest == *taken {
            return Ok(Reloaded::Unchanged);
        }
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
        *taken = digest;
        Ok(Reloaded::Taken)
    }
}

impl Files {
    /// Both, and a digest of what they hold.
    fn read(&self, provider: &CryptoProvider) -> anyhow::Result<([u8; 32], CertifiedKey)> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain_pem = std::fs::read(&self.certificate)
            .with_context(|| format!("the certificate {certificate} cannot be read"))?;
        let key_pem = Zeroizing::new(
            std::fs::read(&self.key).with_context(|| format!("the certificate's key {key} cannot be read"))?,
        );
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_pem).collect();
        let chain = chain.with_context(|| format!("{certificate} is no PEM file of certificates"))?;
        if chain.is_empty() {
            bail!("there is no certificate in {certificate}");
        }
        let private =
            PrivateKeyDer::from_pem_slice(&key_pem).with_context(|| format!("there is no private key in {key}"))?;
        let pair = CertifiedKey::from_der(chain, private, provider)
            .with_context(|| format!("{certificate} and {key} do not fit each other"))?;
        Ok((digest(&chain_pem, &key_pem), pair))
    }
}

fn digest(chain: &[u8], key: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    // The length keeps bytes from moving from the one file to the other unseen.
    Sha256::new().chain_update(chain.len().to_be_bytes()).chain_update(chain).chain_update(key).finalize().into()
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl std::fmt::Debug for TlsAcceptorOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(folder: &Path) -> TlsConfig {
        TlsConfig {
            certificate_file: Some(folder.join("chain.pem")),
            key_file: Some(folder.join("key.pem")),
            ..TlsConfig::default()
        }
    }

    /// Writes a fresh certificate, its key, or both.
    fn write(folder: &Path, names: &[&str]) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        for name in names {
            let text = if *name == "key.pem" { made.signing_key.serialize_pem() } else { made.cert.pem() };
            std::fs::write(folder.join(name), text).expect("writable");
        }
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("encd-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        assert!(Tls::from_config(&TlsConfig::default()).expect("nothing is asked for").is_none());
        assert!(Tls::from_config(&config(&folder)).is_err(), "no files");
        write(&folder, &["chain.pem", "key.pem"]);
        let tls = Tls::from_config(&config(&folder)).expect("they fit").expect("they are named");
        assert_eq!(tls.reload().expect("they fit"), Reloaded::Unchanged);
        type Fault = fn(&Path);
        let faults: &[(&str, Fault)] = &[
            ("a certificate without its key", |folder| write(folder, &["chain.pem"])),
            ("an empty certificate", |folder| std::fs::write(folder.join("chain.pem"), "").expect("writable")),
            ("a key that is none", |folder| std::fs::write(folder.join("key.pem"), "none").expect("writable")),
            ("no key", |folder| std::fs::remove_file(folder.join("key.pem")).expect("it is there")),
        ];
        for (what, fault) in faults {
            write(&folder, &["chain.pem", "key.pem"]);
            tls.reload().expect("they fit");
            let before = Arc::clone(&tls.shown.0.read().expect("no panic"));
            fault(&folder);
            assert!(tls.reload().is_err(), "{what}");
            assert!(Arc::ptr_eq(&before, &tls.shown.0.read().expect("no panic")), "{what}");
        }
        write(&folder, &["chain.pem", "key.pem"]);
        assert_eq!(tls.reload().expect("they fit"), Reloaded::Taken);
        std::fs::remove_dir_all(&folder).expect("it was made above");
    }
}
