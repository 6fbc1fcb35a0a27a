//! HTTP requests: every spelling is read alike, every answer is canonical with a code of the protocol, a refused write changes nothing.

use crate::enclave::{Sample, rehearse};
use crate::node::{Ask, Told};
use service::call::Outcome;
use service::resolve::{Resolved, body_limit};

/// Bytes as a request's head and body: `POST /{E}/state`, headers, a blank line, the body.
pub fn run(bytes: &[u8]) {
    rehearse(|sample| {
        let ask = ask(sample, bytes);
        let resolved = sample.node.resolve(&ask);
        spellings(sample, &ask, &format!("{resolved:?}"));
        match resolved {
            Err(refusal) => {
                let told = Told::from(refusal.response());
                assert!(told.code().is_some() && (400..600).contains(&told.status), "{told:?}");
            }
            Ok(Resolved::Call(call)) => {
                assert!(ask.body.len() <= body_limit(&sample.node.facts.limits, &ask.line));
                answered(sample, &call);
            }
            // What the host does itself.
            Ok(Resolved::Provision(_) | Resolved::Envelope(_) | Resolved::Lines | Resolved::Upgrade(_)) => {}
            Ok(Resolved::Preflight) => assert_eq!(ask.line.method, "OPTIONS"),
        }
    });
}

/// Runs a call; what is refused has changed nothing.
pub(crate) fn answered(sample: &Sample, call: &service::Call) -> Option<Told> {
    let before = call.writes().then(|| sample.node.dump());
    let told = match sample.node.outcome(call, false) {
        Outcome::Done(response) | Outcome::Undone(response) => Told::from(response),
        Outcome::Parked { .. } => return None,
    };
    if told.code().is_some()
        && let Some(before) = before
    {
        assert_eq!(sample.node.dump(), before, "{:?} was refused", call.action);
    }
    Some(told)
}

/// The same request under the three spellings of an enclave's path.
fn spellings(sample: &Sample, ask: &Ask, expected: &str) {
    let id = sample.enclave.hex();
    let spelled = [format!("/enclaves/{id}/"), format!("/enclave/{id}/"), format!("/{id}/")];
    let Some(rest) = spelled.iter().find_map(|spelling| ask.line.path.strip_prefix(spelling.as_str())) else { return };
    for spelling in &spelled {
        let mut other = ask.clone();
        other.line.path = format!("{spelling}{rest}");
        assert_eq!(format!("{:?}", sample.node.resolve(&other)), expected, "{spelling}");
    }
}

fn ask(sample: &Sample, bytes: &[u8]) -> Ask {
    let split = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..split], bytes.get(split + 2..).unwrap_or_default());
    let head = sample.fill(&String::from_utf8_lossy(head));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let mut ask = Ask::new(method, target);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "content-type" => ask.line.headers.content_type = Some(value.to_owned()),
            "x-enc-from" => ask.line.headers.from = Some(value.to_owned()),
            "x-enc-session" => ask.line.headers.session = Some(value.to_owned()),
            "upgrade" => ask.upgrade = true,
            _ => {}
        }
    }
    ask.body(&match core::str::from_utf8(body) {
        Ok(text) => sample.fill(text).into_bytes(),
        Err(_) => body.to_vec(),
    })
}
