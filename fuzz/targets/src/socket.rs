//! WebSocket frames and lines of `POST /commits`: one commit is read alike in both, and a subscription says only what its filter takes.

use crate::enclave::{Sample, rehearse};
use crate::request::answered;
use protocol::{Event, Json};
use service::Call;
use service::call::Action;
use service::live;
use service::resolve::{Frame, FrameError, Resolver, resolve_frame, resolve_line};

/// The most frames of one input.
const MAX_FRAMES: usize = 8;

/// Text as frames, one a line.
pub fn run(bytes: &[u8]) {
    rehearse(|sample| {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines().take(MAX_FRAMES) {
            frame(sample, sample.fill(line).as_bytes());
        }
    });
}

fn frame(sample: &Sample, bytes: &[u8]) {
    let is_node_key = |key: &protocol::PublicKey| sample.node.is_node_key(key);
    let resolver = Resolver { limits: &sample.node.facts.limits, is_node_key: &is_node_key };
    let as_line = resolve_line(&resolver, bytes);
    for at in [None, Some(sample.enclave)] {
        match resolve_frame(&resolver, at, bytes) {
            Ok(Frame::Subscribe { sub_id, call }) => subscribed(sample, &sub_id, &call),
            Ok(Frame::Commit(call)) => {
                let line = as_line.as_ref().unwrap_or_else(|refused| panic!("{refused:?}"));
                assert_eq!(format!("{line:?}"), format!("{call:?}"));
                answered(sample, &call);
            }
            Ok(Frame::Close { sub_id }) => assert!(as_line.is_err(), "{sub_id}"),
            Err(FrameError { hash, rejection, .. }) => {
                let told = live::error_frame(&rejection, hash.as_ref());
                assert!(canonical(&told).member("error").is_some());
                assert!(at.is_some() || as_line.is_err(), "a commit was refused in a frame only");
            }
        }
    }
}

fn subscribed(sample: &Sample, sub_id: &str, call: &Call) {
    let mut subscription = match sample.node.subscribe(call) {
        Ok(subscription) => subscription,
        Err(rejection) => return drop(canonical(&live::closed_frame(sub_id, rejection.code.as_str()))),
    };
    let Action::Query(filter) = &call.action else { panic!("{call:?} is no Query") };
    loop {
        let turn = sample.node.turn(&mut subscription);
        for frame in &turn.frames {
            let Json::Object(members) = canonical(frame) else { panic!("{frame} is no object") };
            let event = members.into_iter().find(|(name, _)| name == "event").map(|(_, event)| event);
            if let Some(event) = event {
                let event = Event::from_json(event).expect("an event as it is served");
                assert!(filter.takes(&event), "{event:?} was not asked for");
            }
        }
        if turn.closed.is_some() || !turn.more {
            return;
        }
    }
}

fn canonical(frame: &str) -> Json {
    let value = protocol::json::parse(frame.as_bytes(), protocol::json::MAX_DEPTH).expect("a frame is JSON");
    assert_eq!(value.to_jcs(), frame);
    value
}
