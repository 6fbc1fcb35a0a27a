//! Signed commits, made before the clock starts.

use crate::node::Node;
use anyhow::Context;
use protocol::commit::Draft;
use protocol::json::{self, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{EnclaveId, Json, PublicKey};
use std::sync::Arc;

/// Requests to be sent, whole: line, headers, body.
pub struct Work {
    requests: Arc<Vec<Box<[u8]>>>,
}

impl Work {
    /// Makes the enclaves on the node and signs `count` messages for them in turn, on both cores.
    pub fn sign(node: &Node, enclaves: usize, count: u64) -> anyhow::Result<Work> {
        let author = key(1);
        let exp = node.now()? + 1_800_000;
        let mut ids = Vec::with_capacity(enclaves);
        for number in 0..enclaves {
            let manifest = manifest(&node.sequencer()?, &author.public());
            let nonce = vec![vec!["nonce".to_owned(), format!("{number:08x}")]];
            let commit = Draft::manifest(&author, &manifest, nonce, exp).sign(&author).into_commit();
            let status = node.post(&commit.to_json().to_jcs())?;
            anyhow::ensure!(status == 200, "the node refused a Manifest: {status}");
            ids.push(commit.enclave);
        }
        let ids = Arc::new(ids);
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let ids = Arc::clone(&ids);
                std::thread::spawn(move || {
                    (0..count).filter(|n| n % 2 == half).map(|n| request(&ids, n, exp)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut requests = Vec::with_capacity(count as usize);
        for half in halves {
            requests.extend(half.join().ok().context("signing")?);
        }
        Ok(Work { requests: Arc::new(requests) })
    }

    /// The requests.
    pub fn requests(&self) -> Arc<Vec<Box<[u8]>>> {
        Arc::clone(&self.requests)
    }
}

fn key(byte: u8) -> KeyPair {
    KeyPair::from_secret(&[byte; 32]).expect("a repeated small byte is a valid scalar")
}

fn request(ids: &[EnclaveId], number: u64, exp: u64) -> Box<[u8]> {
    let enclave = ids[number as usize % ids.len()];
    let content = Json::object([("n", Json::from(number)), ("text", Json::from("m".repeat(128)))]);
    let body = Draft::new(enclave, "message", &content, exp).sign(&key(1)).into_commit().to_json().to_jcs();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat().into_boxed_slice()
}

fn manifest(sequencer: &PublicKey, owner: &PublicKey) -> Json {
    let text = format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","RBAC":{{"states":["MEMBER"],"traits":["owner(0)"],
            "readers":[{{"type":"MEMBER","reads":"*"}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"owner","ops":["C"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}}],
            "init":[{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}}]}}}}"#
    );
    json::parse(text.as_bytes(), MAX_DEPTH).expect("the bench's own manifest is valid JSON")
}
