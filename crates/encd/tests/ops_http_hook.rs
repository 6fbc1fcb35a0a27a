//! The hook that is another program: what it is asked, what its answers mean, and that it fails closed.

use encd::config::Config;
use encd::hooks::{Admitted, Chain};
use protocol::{Code, EnclaveId, PublicKey};
use service::call::Admission;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const ENCLAVE: EnclaveId = EnclaveId([1; 32]);
const ALICE: PublicKey = PublicKey([0xaa; 32]);

/// A program that answers every question alike.
struct Program {
    address: SocketAddr,
    questions: mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
}

/// `answer`: none for silence.
async fn program(answer: Option<&'static str>) -> Program {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let (asked, questions) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, answer, asked.clone()));
        }
    });
    Program { address, questions, connections }
}

async fn serve(stream: TcpStream, answer: Option<&'static str>, asked: mpsc::UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut len) = (String::new(), 0);
        while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        if line.is_empty() {
            return;
        }
        let mut body = vec![0; len];
        stream.read_exact(&mut body).await.expect("a whole body");
        asked.send(String::from_utf8(body).expect("text")).expect("the test listens");
        match answer {
            Some(answer) => stream.write_all(answer.as_bytes()).await.expect("the node reads"),
            None => std::future::pending().await,
        }
    }
}

fn chain(address: SocketAddr, more: &str) -> Chain {
    let config = format!("[hooks]\nhttp_url = \"http://{address}/admit\"\nhttp_timeout_ms = 2000\n{more}");
    Chain::from_config(&Config::parse(&config).expect("a configuration")).expect("a chain")
}

fn request(admission: &Admission) -> Admitted<'_> {
    Admitted {
        service: "enc-node",
        enclave: Some(&ENCLAVE),
        admission,
        from: Some(&ALICE),
        verified: true,
        address: IpAddr::from([127, 0, 0, 1]),
        len: 300,
        listener_loopback: true,
        bearer: Some("never-passed-on"),
    }
}

async fn judge(chain: &Chain, admission: Admission) -> Result<(), Code> {
    chain.judge(&request(&admission)).await.map_err(|rejection| rejection.code)
}

#[tokio::test]
async fn what_answers_mean() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Err(Code::Unauthorized)),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 26\r\n\r\n{\"error\":\"limit_exceeded\"}",
            Err(Code::LimitExceeded),
        ),
        ("HTTP/1.1 400 Bad\r\ncontent-length: 20\r\n\r\n{\"error\":\"no_code\"}\r\n", Err(Code::Unauthorized)),
        ("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", Err(Code::RateLimited)),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", Err(Code::Overloaded)),
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", Err(Code::Overloaded)),
        ("not http at all\r\n\r\n", Err(Code::Overloaded)),
    ] {
        let program = program(Some(answer)).await;
        let chain = chain(program.address, "");
        for _ in 0..3 {
            assert_eq!(judge(&chain, Admission::Query).await, expected, "{answer}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_and_what_is_not() {
    let mut program = program(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let chain = chain(program.address, "");
    for public in [Admission::Info, Admission::Log] {
        assert_eq!(judge(&chain, public).await, Ok(()));
    }
    assert_eq!(judge(&chain, Admission::Commit("note".into())).await, Ok(()));
    assert_eq!(judge(&chain, Admission::Create).await, Ok(()));
    let nobody = Admitted { enclave: None, from: None, ..request(&Admission::Query) };
    assert_eq!(chain.judge(&nobody).await, Ok(()));
    let (enclave, from) = (ENCLAVE.hex(), ALICE.hex());
    for (action, rest) in [
        (
            "commit:note",
            format!(
                ",\"enclave\":\"{enclave}\",\"from\":\"{from}\",\"service\":\"enc-node\",\"size\":300,\"type\":\"note\"}}"
            ),
        ),
        (
            "create",
            format!(
                ",\"enclave\":\"{enclave}\",\"from\":\"{from}\",\"service\":\"enc-node\",\"size\":300,\"type\":\"Manifest\"}}"
            ),
        ),
        ("query", ",\"service\":\"enc-node\",\"size\":300}".to_owned()),
    ] {
        let question = program.questions.recv().await.expect("it was asked");
        assert_eq!(question, format!("{{\"action\":\"{action}\"{rest}"));
    }
    assert!(program.questions.try_recv().is_err(), "public actions are not asked about");
    assert_eq!(program.connections.load(Ordering::Relaxed), 1, "one connection serves one question after another");
}

#[tokio::test]
async fn silence_fails_closed_or_open_as_configured() {
    let silent = program(None).await;
    let short = |more: &str| {
        let config = format!("[hooks]\nhttp_url = \"http://{}/\"\nhttp_timeout_ms = 20\n{more}", silent.address);
        Chain::from_config(&Config::parse(&config).expect("a configuration")).expect("a chain")
    };
    assert_eq!(judge(&short(""), Admission::Query).await, Err(Code::Overloaded));
    assert_eq!(judge(&short("http_fail_open = true"), Admission::Query).await, Ok(()));
}

#[tokio::test]
async fn nobody_there_fails_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    assert_eq!(judge(&chain(address, ""), Admission::Query).await, Err(Code::Overloaded));
    assert_eq!(judge(&chain(address, "http_fail_open = true"), Admission::Query).await, Ok(()));
}

#[tokio::test]
async fn a_program_that_was_started_again_is_found_again() {
    let once = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let program = program(Some(once)).await;
    let chain = chain(program.address, "");
    for _ in 0..5 {
        assert_eq!(judge(&chain, Admission::Query).await, Ok(()));
    }
}
