//! Requests that leave the node, against real servers: who is dialled and who is not, what of an answer is taken, and the lanes.

use bytes::Bytes;
use encd::outbound::client::{Client, NoAnswer, Resolve};
use encd::outbound::{Outbound, OutboundConfig};
use service::runtime::{Fetch, FetchId, Fetched};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A peer that sends `answer` to every request and then what follows, nothing.
struct Peer {
    address: SocketAddr,
    /// Heads and bodies of the requests it got.
    requests: mpsc::UnboundedReceiver<(String, String)>,
}

impl Peer {
    async fn answering(answer: impl Into<Bytes>) -> Peer {
        Peer::at("127.0.0.1:0", answer).await
    }

    async fn at(address: &str, answer: impl Into<Bytes>) -> Peer {
        let listener = TcpListener::bind(address).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (asked, requests) = mpsc::unbounded_channel();
        let answer = answer.into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_one(stream, answer.clone(), asked.clone()));
            }
        });
        Peer { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?a=b#c", self.address)
    }
}

/// Reads one request, sends the answer, and holds the connection open.
async fn answer_one<S>(stream: S, answer: Bytes, asked: mpsc::UnboundedSender<(String, String)>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    let (mut head, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
    }
    if head.is_empty() {
        return;
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.expect("a whole body");
    asked.send((head, String::from_utf8(body).expect("text"))).expect("the test listens");
    if stream.write_all(&answer).await.is_ok() && stream.flush().await.is_ok() {
        std::future::pending().await
    }
}

fn loopback() -> OutboundConfig {
    OutboundConfig { allow_loopback: true, ..OutboundConfig::default() }
}

fn resolver(answer: impl Fn(&str, u16) -> Vec<SocketAddr> + Send + Sync + 'static) -> Resolve {
    Arc::new(move |host, port| Ok(answer(host, port)))
}

async fn post(config: &OutboundConfig, url: &str) -> Result<(u16, Vec<u8>), NoAnswer> {
    Client::new(config).post(url, Bytes::from_static(b"{\"n\":1}")).await
}

#[tokio::test]
async fn a_request_as_the_peer_sees_it() {
    let mut peer = Peer::answering(OK).await;
    assert_eq!(post(&loopback(), &peer.url()).await, Ok((200, b"{}".to_vec())));
    let (head, body) = peer.requests.recv().await.expect("it was asked");
    assert!(head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("host: {}\r\n", peer.address)), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert_eq!(body, "{\"n\":1}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut elsewhere = Peer::answering(OK).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!("HTTP/1.1 {status} Go\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        let peer = Peer::answering(redirect).await;
        assert_eq!(post(&loopback(), &peer.url()).await, Ok((status, Vec::new())));
    }
    assert!(elsewhere.requests.try_recv().is_err(), "somebody followed");
}

#[tokio::test]
async fn long_answers_are_cut() {
    let limit = OutboundConfig::default().answer_bytes;
    assert_eq!(limit, 64 << 10);
    for len in [limit - 1, limit, limit + 1, 10 * limit] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n");
        let peer = Peer::answering([head.as_bytes(), &vec![b'x'; len]].concat()).await;
        let (status, body) = post(&loopback(), &peer.url()).await.expect("an answer");
        assert_eq!((status, body.len()), (200, len.min(limit)));
    }
    // One that never ends is cut as well, rather than waited for.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 * limit));
    let peer = Peer::answering(endless).await;
    assert_eq!(post(&loopback(), &peer.url()).await.map(|(_, body)| body.len()), Ok(limit));
    // And a head that is longer than any needs to be is no answer.
    for (len, expected) in
        [(8 << 10, Ok((200, Vec::new()))), (17 << 10, Err(NoAnswer::Http)), (1 << 20, Err(NoAnswer::Http))]
    {
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(len));
        let peer = Peer::answering(head).await;
        assert_eq!(post(&loopback(), &peer.url()).await, expected, "{len}");
    }
}

#[tokio::test]
async fn slow_answers_time_out() {
    let hurried = OutboundConfig { timeout_ms: 50, ..loopback() };
    for part in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"] {
        let peer = Peer::answering(part).await;
        assert_eq!(post(&hurried, &peer.url()).await, Err(NoAnswer::Timeout), "{part:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let peer = Peer::answering("220 mail.example ESMTP\r\n").await;
    assert_eq!(post(&loopback(), &peer.url()).await, Err(NoAnswer::Http));
}

#[tokio::test]
async fn only_https_leaves_unless_loopback_is_allowed() {
    let mut peer = Peer::answering(OK).await;
    let (default, allowed) = (OutboundConfig::default(), loopback());
    let port = peer.address.port();
    for (config, url, expected) in [
        (&default, format!("http://127.0.0.1:{port}/"), NoAnswer::Url),
        (&default, format!("https://127.0.0.1:{port}/"), NoAnswer::Address),
        (&default, format!("https://[::1]:{port}/"), NoAnswer::Address),
        (&default, format!("https://localhost:{port}/"), NoAnswer::Address),
        (&default, "https://169.254.169.254/latest/meta-data".into(), NoAnswer::Address),
        (&default, "https://10.0.0.1/".into(), NoAnswer::Address),
        (&default, "https://[::ffff:127.0.0.1]/".into(), NoAnswer::Address),
        (&default, "https://[64:ff9b::a00:1]/".into(), NoAnswer::Address),
        (&default, "http://192.0.2.1/".into(), NoAnswer::Url),
        // The flag opens loopback, not the rest of the inside, and no plain http to the outside.
        (&allowed, "https://10.0.0.1/".into(), NoAnswer::Address),
        (&allowed, "http://10.0.0.1/".into(), NoAnswer::Url),
        (&allowed, "http://1.1.1.1/".into(), NoAnswer::Url),
        (&allowed, "https://[fd00::1]/".into(), NoAnswer::Address),
        (&allowed, format!("http://user@127.0.0.1:{port}/"), NoAnswer::Url),
        (&allowed, format!("http://user:secret@127.0.0.1:{port}/"), NoAnswer::Url),
        (&allowed, format!("ftp://127.0.0.1:{port}/"), NoAnswer::Url),
        (&allowed, "/hook".into(), NoAnswer::Url),
        (&allowed, "http:///hook".into(), NoAnswer::Url),
        (&allowed, "not a url".into(), NoAnswer::Url),
        (&allowed, String::new(), NoAnswer::Url),
    ] {
        assert_eq!(post(config, &url).await, Err(expected), "{url}");
    }
    assert!(peer.requests.try_recv().is_err());
}

/// Other spellings of an address, which some resolvers read as one.
#[tokio::test]
async fn spellings_of_loopback_do_not_pass() {
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost.", "LOCALHOST"] {
        let refused = post(&OutboundConfig::default(), &format!("https://{host}:1/")).await;
        assert!(matches!(refused, Err(NoAnswer::Address | NoAnswer::Name | NoAnswer::Url)), "{host}: {refused:?}");
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_dialled() {
    // Two peers on one port; the name leads to the first when it is asked the first time, and ever after to the second.
    let mut first = Peer::at("127.0.0.1:0", OK).await;
    let port = first.address.port();
    let mut second = Peer::at(&format!("127.0.0.2:{port}"), OK).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let changing = resolver(move |host, port| {
        assert_eq!(host, "hook.example");
        let last = if counted.fetch_add(1, Ordering::SeqCst) == 0 { 1 } else { 2 };
        vec![SocketAddr::from(([127, 0, 0, last], port))]
    });
    let client = Client::resolving(&loopback(), changing);
    let url = format!("http://hook.example:{port}/");
    assert_eq!(client.post(&url, Bytes::new()).await.map(|(status, _)| status), Ok(200));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "a name is asked for once a request");
    let (head, _) = first.requests.recv().await.expect("the checked address was dialled");
    assert!(head.to_ascii_lowercase().contains(&format!("host: hook.example:{port}\r\n")));
    assert!(second.requests.try_recv().is_err());
    // The next request checks again.
    assert_eq!(client.post(&url, Bytes::new()).await.map(|(status, _)| status), Ok(200));
    assert!(second.requests.recv().await.is_some());
}

#[tokio::test]
async fn one_bad_address_spoils_a_name() {
    let peer = Peer::answering(OK).await;
    let port = peer.address.port();
    for (addresses, allow_loopback, expected) in [
        (vec!["1.1.1.1", "10.0.0.1"], false, NoAnswer::Address),
        (vec!["1.1.1.1", "127.0.0.1"], false, NoAnswer::Address),
        (vec!["1.1.1.1", "127.0.0.1"], true, NoAnswer::Address),
        (vec!["127.0.0.1", "10.0.0.1"], true, NoAnswer::Address),
        (vec!["2606:4700::1", "::ffff:10.0.0.1"], false, NoAnswer::Address),
        (vec![], true, NoAnswer::Name),
    ] {
        let parsed: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let resolve = resolver(move |_, port| parsed.iter().map(|ip| SocketAddr::new(*ip, port)).collect());
        let config = OutboundConfig { allow_loopback, ..OutboundConfig::default() };
        let client = Client::resolving(&config, resolve);
        let answer = client.post(&format!("https://hook.example:{port}/"), Bytes::new()).await;
        assert_eq!(answer, Err(expected), "{addresses:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_and_a_port_without_a_peer() {
    let unknown: Resolve = Arc::new(|_, _| Err(std::io::ErrorKind::NotFound.into()));
    let client = Client::resolving(&loopback(), unknown);
    assert_eq!(client.post("https://hook.example/", Bytes::new()).await, Err(NoAnswer::Name));

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    assert_eq!(post(&loopback(), &format!("http://{address}/")).await, Err(NoAnswer::Connection));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_takes_no_connection() {
    let peer = Peer::answering(OK).await;
    let port = peer.address.port();
    let resolve = resolver(|_, port| {
        ["127.0.0.3", "127.0.0.1"].map(|ip| SocketAddr::new(ip.parse().expect("an address"), port)).to_vec()
    });
    let client = Client::resolving(&loopback(), resolve);
    let answer = client.post(&format!("http://hook.example:{port}/"), Bytes::new()).await;
    assert_eq!(answer.map(|(status, _)| status), Ok(200));
}

/// A peer with TLS and a certificate for `localhost` that only the roots file knows.
struct SecurePeer {
    port: u16,
    roots: std::path::PathBuf,
}

impl SecurePeer {
    async fn start(name: &str) -> SecurePeer {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).expect("a key");
        let settings = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows some")
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .expect("certificate and key belong together");
        let roots = std::env::temp_dir().join(format!("encd-ops-roots-{}-{name}.pem", std::process::id()));
        std::fs::write(&roots, pem(signed.cert.der())).expect("the temporary folder can be written to");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, requests) = mpsc::unbounded_channel();
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(async move {
                        answer_one(stream, Bytes::from_static(OK.as_bytes()), asked).await;
                        drop(requests);
                    });
                }
            }
        });
        SecurePeer { port, roots }
    }
}

impl Drop for SecurePeer {
    fn drop(&mut self) {
        std::fs::remove_file(&self.roots).expect("it was written when this was made");
    }
}

fn pem(der: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    let text = Base64::encode_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[tokio::test]
async fn tls_with_a_certificate_for_the_name() {
    let peer = SecurePeer::start("good").await;
    let believing = OutboundConfig { roots_file: Some(peer.roots.clone()), ..loopback() };
    assert_eq!(post(&believing, &format!("https://localhost:{}/", peer.port)).await, Ok((200, b"{}".to_vec())));
    // For another name, and for the address itself, the certificate does not hold.
    let resolve = resolver(|_, port| vec![SocketAddr::from(([127, 0, 0, 1], port))]);
    let client = Client::resolving(&believing, resolve);
    let other = client.post(&format!("https://hook.example:{}/", peer.port), Bytes::new()).await;
    assert_eq!(other, Err(NoAnswer::Tls));
    assert_eq!(post(&believing, &format!("https://127.0.0.1:{}/", peer.port)).await, Err(NoAnswer::Tls));
}

#[tokio::test]
async fn tls_that_nobody_vouches_for() {
    let peer = SecurePeer::start("unknown").await;
    let url = format!("https://localhost:{}/", peer.port);
    assert_eq!(post(&loopback(), &url).await, Err(NoAnswer::Tls));
    let none = OutboundConfig { roots_file: Some("/nonexistent".into()), ..loopback() };
    assert_eq!(post(&none, &url).await, Err(NoAnswer::Tls));
}

/// Ends of requests, as the engine would hear of them.
struct Ends(mpsc::UnboundedReceiver<(usize, FetchId, Fetched)>);

impl Ends {
    fn of(config: &OutboundConfig) -> (Outbound, Ends) {
        let (report, ends) = mpsc::unbounded_channel();
        let outbound = Outbound::reporting(config, Client::new(config), move |shard, id, fetched| {
            report.send((shard, id, fetched)).expect("the test listens");
        });
        (outbound, Ends(ends))
    }

    async fn next(&mut self) -> (usize, FetchId, Fetched) {
        self.0.recv().await.expect("every request has an end")
    }
}

fn fetch(id: i64, lane: &str, url: &str) -> Fetch {
    Fetch { id: FetchId::Delivery(id), lane: lane.into(), url: url.into(), body: format!("{{\"id\":{id}}}") }
}

#[tokio::test]
async fn a_lane_is_in_order_and_lanes_go_side_by_side() {
    let mut quick = Peer::answering(OK).await;
    let mut silent = Peer::answering("").await;
    let config = OutboundConfig { timeout_ms: 1000, ..loopback() };
    let (outbound, mut ends) = Ends::of(&config);
    outbound.submit(1, fetch(0, "slow", &silent.url()));
    assert!(silent.requests.recv().await.is_some());
    for id in 1..=5 {
        outbound.submit(0, fetch(id, "quick", &quick.url()));
    }
    for id in 1..=5 {
        let expected = (0, FetchId::Delivery(id), Fetched::Answer(200, b"{}".to_vec()));
        assert_eq!(ends.next().await, expected, "while the other lane waits");
        assert_eq!(quick.requests.recv().await.map(|(_, body)| body), Some(format!("{{\"id\":{id}}}")));
    }
    assert_eq!(ends.next().await, (1, FetchId::Delivery(0), Fetched::Failed));
    let forgotten = async {
        while outbound.busy_lanes() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), forgotten).await.expect("an empty lane is forgotten");
}

#[tokio::test]
async fn one_at_a_time_in_a_lane() {
    let mut silent = Peer::answering("").await;
    let (outbound, mut ends) = Ends::of(&OutboundConfig { timeout_ms: 100, ..loopback() });
    outbound.submit(0, fetch(1, "lane", &silent.url()));
    outbound.submit(0, fetch(2, "lane", &silent.url()));
    assert!(silent.requests.recv().await.is_some());
    assert_eq!(ends.next().await.1, FetchId::Delivery(1), "the second begins when the first has ended");
    assert_eq!(silent.requests.recv().await.map(|(_, body)| body), Some("{\"id\":2}".into()));
    assert_eq!(ends.next().await.1, FetchId::Delivery(2));
}

#[tokio::test]
async fn what_finds_no_room_fails_at_once() {
    let mut silent = Peer::answering("").await;
    let url = silent.url();
    for (config, lanes) in [
        (OutboundConfig { lanes: 2, ..loopback() }, ["a", "b", "c"]),
        (OutboundConfig { waiting_kib: 2, ..loopback() }, ["a", "b", "c"]),
        (OutboundConfig { waiting_kib: 2, ..loopback() }, ["a", "a", "a"]),
    ] {
        let (outbound, mut ends) = Ends::of(&config);
        for (id, lane) in lanes.into_iter().enumerate() {
            outbound.submit(7, fetch(id as i64, lane, &url));
        }
        assert_eq!(ends.next().await, (7, FetchId::Delivery(2), Fetched::Failed), "{config:?}");
        assert!(silent.requests.recv().await.is_some(), "the others are under way");
    }
}

#[tokio::test]
async fn a_lane_is_bounded() {
    let silent = Peer::answering("").await;
    let (outbound, mut ends) = Ends::of(&loopback());
    for id in 0..18 {
        outbound.submit(0, fetch(id, "lane", &silent.url()));
    }
    assert_eq!(ends.next().await, (0, FetchId::Delivery(17), Fetched::Failed));
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_fails() {
    let silent = Peer::answering("").await;
    let (outbound, mut ends) = Ends::of(&OutboundConfig { concurrent: 1, wait_ms: 10, timeout_ms: 1000, ..loopback() });
    outbound.submit(0, fetch(1, "a", &silent.url()));
    outbound.submit(0, fetch(2, "b", &silent.url()));
    for id in [2, 1] {
        assert_eq!(ends.next().await, (0, FetchId::Delivery(id), Fetched::Failed));
    }
}

#[tokio::test]
async fn who_waited_too_long_in_its_lane_is_not_sent() {
    let mut silent = Peer::answering("").await;
    let (outbound, mut ends) = Ends::of(&OutboundConfig { wait_ms: 10, timeout_ms: 200, ..loopback() });
    outbound.submit(0, fetch(1, "lane", &silent.url()));
    outbound.submit(0, fetch(2, "lane", &silent.url()));
    for id in [1, 2] {
        assert_eq!(ends.next().await, (0, FetchId::Delivery(id), Fetched::Failed));
    }
    assert!(silent.requests.recv().await.is_some());
    assert!(silent.requests.try_recv().is_err(), "its service had taken it for lost");
}

#[test]
fn outside_a_runtime_everything_fails_and_nothing_breaks() {
    let (outbound, mut ends) = Ends::of(&loopback());
    outbound.submit(3, fetch(1, "lane", "https://hook.example/"));
    assert_eq!(ends.0.try_recv(), Ok((3, FetchId::Delivery(1), Fetched::Failed)));
}

#[test]
fn settings_that_could_not_be_meant() {
    let default = OutboundConfig::default;
    assert!(default().check().is_ok());
    for config in [
        OutboundConfig { timeout_ms: 0, ..default() },
        OutboundConfig { timeout_ms: 10_001, ..default() },
        OutboundConfig { wait_ms: 4001, ..default() },
        OutboundConfig { lanes: 0, ..default() },
        OutboundConfig { concurrent: 0, ..default() },
        OutboundConfig { answer_bytes: 0, ..default() },
    ] {
        assert!(config.check().is_err(), "{config:?}");
    }
}
