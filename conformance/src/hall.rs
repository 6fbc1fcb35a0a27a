//! The Manifest of an enclave with a bit of everything in it, which the black-box checks build on.

use crate::people::json;
use protocol::schnorr::KeyPair;
use protocol::{Json, PublicKey};

/// Nothing closes by itself while a test looks.
pub const CALM: &str = r#""bundle":{"size":256,"timeout":3600000},"#;

/// The content: alice owns it, bob is a member, carol an admin, dave gets pushes. `bundle` is that member with a comma behind it, or nothing.
pub fn hall(sequencer: &PublicKey, bundle: &str, people: [&KeyPair; 4]) -> Json {
    let [alice, bob, carol, dave] = people.map(KeyPair::public);
    json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}",{bundle}"RBAC":{{
            "states":["MEMBER","BLOCKED"],"traits":["owner(0)","admin(1)","muted(2)","feed(3)","bell(4)"],
            "readers":[{{"type":"owner","reads":"*"}},{{"type":"MEMBER","reads":["message","Shared","Own","Move"]}},
                     {{"type":"Public","reads":["notice"]}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":["owner","admin"],"ops":["C"]}},
                     {{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"Self","ops":["C"],
                       "alias":"door","gate":{{"operator":["owner"]}}}},
                     {{"event":"Move","from":"MEMBER","to":"BLOCKED","operator":"admin","ops":["C"]}},
                     {{"event":"Move","from":"BLOCKED","to":"OUTSIDER","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}}],
            "grants":[{{"event":"Grant","operator":["owner"],"scope":["MEMBER"],"trait":["admin","feed","bell"]}},
                      {{"event":"Revoke","operator":["owner"],"scope":["MEMBER"],"trait":["admin","feed","bell"]}},
                      {{"event":"Grant","operator":["admin"],"scope":["MEMBER"],"trait":["muted"]}}],
            "transfers":[{{"trait":"owner","operator":["owner"],"scope":["MEMBER"]}}],
            "slots":[{{"event":"Shared","key":"topic","operator":"owner","ops":["C","U","D"]}},
                     {{"event":"Own","key":"card","operator":"MEMBER","ops":["C","U","D"]}}],
            "lifecycle":[{{"event":"Pause","operator":"owner","ops":["C"]}},
                         {{"event":"Resume","operator":"owner","ops":["C"]}},
                         {{"event":"Terminate","operator":"owner","ops":["C"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}},
                       {{"event":"message","operator":"Sender","ops":["U","D"]}},
                       {{"event":"message","operator":"muted","ops":["_C"]}},
                       {{"event":"message","operator":"feed","ops":["P"]}},
                       {{"event":"message","operator":"bell","ops":["N"]}},
                       {{"event":"secret","operator":"owner","ops":["C"]}},
                       {{"event":"notice","operator":"owner","ops":["C"]}}],
            "init":[{{"identity":"{alice}","state":"MEMBER","traits":["owner"]}},
                    {{"identity":"{bob}","state":"MEMBER","traits":[]}},
                    {{"identity":"{carol}","state":"MEMBER","traits":["admin"]}},
                    {{"identity":"{dave}","state":"MEMBER","traits":["feed"]}}]}}}}"#
    ))
}
