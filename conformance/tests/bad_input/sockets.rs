//! WebSockets whose peers take nothing, or never finish what they begin.

use crate::memory::is_bounded;
use crate::scene::{Scene, until};
use crate::talk::Wire;
use conformance::people::json;
use conformance::socket::Socket;
use protocol::Json;

/// Events that flow past the slow reader: more than the buffers of both kernels hold.
const EVENTS: usize = 24;

fn subscription(scene: &Scene) -> String {
    let members = scene.value("bob").expect("a name");
    format!(
        r#"{{"type":"Query","sub_id":"x","enclave":"{}",{members},"filter":{{"seq":{{"start_after":3}}}}}}"#,
        scene.enclave
    )
}

/// One reader takes nothing while large events flow; the other gets each of them, and the slow one is cut off.
#[test]
fn a_slow_reader_holds_up_nobody() {
    let scene = Scene::configured("[websocket]\nslow_ms = 400\n");
    let address = &scene.node.address;
    let mut sockets = [0, 1].map(|_| Socket::open(address, "/").expect("a socket"));
    for socket in &mut sockets {
        socket.send(&subscription(&scene));
        assert_eq!(socket.frame().member("type").and_then(Json::as_text), Some("EOSE"));
    }
    let [quick, slow] = &mut sockets;
    for place in 0..EVENTS {
        let receipt = scene.say(&scene.bob, "message", &format!("\"{place}{}\"", "x".repeat(900 << 10)));
        let frame = quick.frame();
        let id = frame.member("event").and_then(|event| event.member("id")).and_then(Json::as_text).map(str::to_owned);
        assert_eq!(id, Some(receipt.id.hex()), "the quick one gets each");
    }
    until("the slow one is cut off", || scene.metric("encd_slow_consumers_total") == 1);
    assert!(slow.ends(), "what was sent before can be read, then it is over");
    is_bounded("a slow reader", &scene.node);
}

/// Frames that are refused are answered; whoever sends them and takes no answers is cut off like any slow reader.
#[test]
fn who_only_talks_is_cut_off() {
    let scene = Scene::configured("[websocket]\nslow_ms = 400\n");
    let mut wire = Wire::open(&scene.node.address, "/").expect("an answer").expect("a socket");
    let bad = json(r#"{"type":"Query"}"#).to_jcs();
    // Ends when the node takes no more: its answers fill the way back, and then it is closed.
    let taken = (0..2_000_000).take_while(|_| wire.text(bad.as_bytes()).is_ok()).count();
    assert!(taken < 2_000_000, "it is cut off");
    scene.say(&scene.bob, "message", r#""and others are served""#);
    is_bounded("a socket that only talks", &scene.node);
}

/// Sockets of one address, each with a frame as large as there may be that never ends.
#[test]
fn frames_that_never_end() {
    let scene = Scene::new();
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut wire = Wire::open(&scene.node.address, "/").expect("an answer").expect("a socket");
        wire.bytes(&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]).expect("the node takes bytes");
        wire.bytes(&vec![b'x'; (1 << 20) - 1]).expect("the node takes bytes");
        held.push(wire);
    }
    scene.say(&scene.bob, "message", r#""and others are served""#);
    is_bounded("frames that never end", &scene.node);
}
