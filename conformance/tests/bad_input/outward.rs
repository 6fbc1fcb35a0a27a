//! Where a node can be sent by a stranger: redirects, and names that lead elsewhere when they are asked again. (Addresses that are never
//! dialled are rows of the table.)

use crate::memory::is_bounded;
use crate::scene::Scene;
use conformance::endpoint::Endpoint;
use conformance::wire::{Answer, Ask};
use encd::outbound::OutboundConfig;
use encd::outbound::client::{Client, NoAnswer, Resolve};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// An endpoint that sends whoever comes elsewhere. It answers so many requests and is gone.
fn redirecting(status: u16, to: &str, requests: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
    let answer = Answer { status, headers: vec![("Location".into(), to.into())], body: Vec::new() };
    thread::spawn(move || {
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.expect("a connection");
            Ask::read(&mut stream, &mut Vec::new()).expect("a request");
            answer.write(&mut stream, "close").expect("the node waits for it");
        }
    });
    url
}

fn register(scene: &Scene, url: &str) -> Answer {
    let members = scene.value("bob").expect("a name");
    scene.post(&format!("/{}/push", scene.enclave), &format!(r#"{{{members},"url":"{url}"}}"#))
}

#[test]
fn redirects_are_not_followed() {
    let scene = Scene::configured("[outbound]\nallow_loopback = true\n");
    let elsewhere = Endpoint::willing();
    let before = scene.tables.dump();
    for status in [301, 302, 303, 307, 308] {
        let answer = register(&scene, &redirecting(status, &elsewhere.url, 1));
        assert_eq!((answer.status, answer.json().member("error")), (409, Some(&"bad_state".into())), "{status}");
    }
    assert_eq!(conformance::tables::difference(&before, &scene.tables.dump()), "");
    // One that was taken and redirects its deliveries: they count as failed, and go nowhere else.
    let hook = Endpoint::willing();
    assert_eq!(register(&scene, &hook.url).status, 200);
    hook.answer_with(Box::new(|_| (307, String::new())));
    scene.say(&scene.bob, "message", r#""to be pushed""#);
    let first = hook.delivery();
    assert_eq!(first.member("push_seq"), hook.delivery().member("push_seq"), "the same is tried again");
    assert!(elsewhere.pending().is_empty(), "somebody followed");
    is_bounded("redirects", &scene.node);
}

/// A name that was fine when it was registered and leads inside when it is asked again; one with a public and a private address; one
/// that changes between the check and the call.
#[test]
fn a_name_that_changes_is_judged_each_time_and_dialled_as_judged() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let answers = thread::spawn(move || {
        let ok = Answer { status: 200, headers: Vec::new(), body: b"{}".to_vec() };
        let (mut stream, _) = listener.accept().expect("a connection");
        Ask::read(&mut stream, &mut Vec::new()).expect("a request");
        ok.write(&mut stream, "close").expect("the node waits for it");
        // Nothing is dialled after this: the next connection would be taken here.
        listener.set_nonblocking(true).expect("a listener need not block");
        listener
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let leads: [&[&str]; 5] = [
        &["127.0.0.1"],
        &["10.0.0.1"],
        &["127.0.0.1", "169.254.169.254"],
        &["::ffff:10.0.0.1"],
        &["1.1.1.1", "127.0.0.1"],
    ];
    let resolve: Resolve = Arc::new(move |_, port| {
        let place = counted.fetch_add(1, Ordering::SeqCst);
        let ips = leads[place.min(leads.len() - 1)].iter();
        Ok(ips.map(|ip| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port)).collect())
    });
    let config = OutboundConfig { allow_loopback: true, ..OutboundConfig::default() };
    let client = Client::resolving(&config, resolve);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = format!("https://hook.example:{port}/");
    let plain = format!("http://hook.example:{port}/");
    let first = runtime.block_on(client.post(&plain, "{}".into()));
    assert_eq!(first, Ok((200, b"{}".to_vec())), "the first time it leads to an endpoint");
    for (place, addresses) in leads.iter().enumerate().skip(1) {
        let refused = runtime.block_on(client.post(&url, "{}".into()));
        assert_eq!(refused, Err(NoAnswer::Address), "{addresses:?}");
        assert_eq!(asked.load(Ordering::SeqCst), place + 1, "a name is asked once a request");
    }
    let listener = answers.join().expect("it does not panic");
    assert!(listener.accept().is_err(), "nothing was dialled");
}
