//! TLS of the services' listeners, with a certificate that is exchanged while connections stay.

use crate::node::{Running, config, get};
use encd::config::Config;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a changed file may take to be seen.
const BOUND: Duration = Duration::from_secs(20);

/// A folder with a certificate and its key, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("encd-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written to");
        Folder(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new certificate in the place of the one before.
    fn renew(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        replace(&self.at("chain.pem"), &made.cert.pem());
        replace(&self.at("key.pem"), &made.signing_key.serialize_pem());
        made.cert.der().clone()
    }

    fn config(&self, check_ms: u64) -> Config {
        let mut config = config();
        config.tls.certificate_file = Some(self.at("chain.pem"));
        config.tls.key_file = Some(self.at("key.pem"));
        config.tls.check_ms = check_ms;
        config
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}

/// As renewing programs do it: written beside, then moved.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("next");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).expect("writable");
}

/// A connection that believes these certificates and no others.
async fn connect(node: &Running, believed: &[&CertificateDer<'static>]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in believed {
        roots.add((*certificate).clone()).expect("a certificate");
    }
    let settings = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(node.server().public()[0]).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(settings)).connect(name, stream).await
}

async fn healthy(stream: &mut TlsStream<TcpStream>) -> bool {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("the connection stands");
    let mut answer = vec![0; 4096];
    let mut len = 0;
    while !answer[..len].ends_with(b"ok\n") {
        match stream.read(&mut answer[len..]).await.expect("the connection stands") {
            0 => return false,
            more => len += more,
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

/// A certificate is exchanged, by `hint` or by looking; the old connection goes on, new ones get the new one.
fn exchange(name: &str, check_ms: u64, hint: impl Fn(&Running)) {
    let folder = Folder::new(name);
    let first = folder.renew();
    let node = Running::start(folder.config(check_ms));
    node.runtime().block_on(async {
        let mut old = connect(&node, &[&first]).await.expect("the first certificate is shown");
        assert!(healthy(&mut old).await);
    });
    let mut old = node.runtime().block_on(connect(&node, &[&first])).expect("the first certificate is shown");
    let second = folder.renew();
    hint(&node);
    let since = Instant::now();
    let mut new = loop {
        match node.runtime().block_on(connect(&node, &[&second])) {
            Ok(new) => break new,
            Err(error) => assert!(since.elapsed() < BOUND, "the second certificate is not shown: {error}"),
        }
    };
    node.runtime().block_on(async {
        assert!(healthy(&mut old).await, "a connection of before goes on");
        assert!(healthy(&mut new).await);
        assert!(connect(&node, &[&first]).await.is_err(), "nobody is shown the first any more");
    });
    let metrics = get(&format!("http://{}/metrics", node.server().admin())).text();
    assert!(metrics.contains("encd_certificate_changes_total{end=\"taken\"} 1\n"), "{metrics}");
}

#[test]
fn a_new_certificate_is_taken_when_asked() {
    exchange("asked", 3_600_000, |node| node.runtime().block_on(node.server().reload()));
}

#[test]
fn a_new_certificate_is_taken_when_it_is_seen() {
    exchange("seen", 20, |_| {});
}

#[test]
fn without_tls_nothing_is_said_and_the_operators_listener_has_none() {
    let folder = Folder::new("plain");
    let certificate = folder.renew();
    let node = Running::start(folder.config(3_600_000));
    node.runtime().block_on(async {
        let mut plain = TcpStream::connect(node.server().public()[0]).await.expect("it listens");
        plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("taken");
        let mut answer = Vec::new();
        if let Err(error) = plain.read_to_end(&mut answer).await {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(!answer.starts_with(b"HTTP/"), "an alert at most: {answer:?}");
        let mut sealed = connect(&node, &[&certificate]).await.expect("and who speaks TLS is served");
        assert!(healthy(&mut sealed).await);
    });
    assert_eq!(get(&format!("http://{}/readyz", node.server().admin())).status, 200);
}
