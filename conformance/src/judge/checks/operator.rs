//! What only an operator may do: provisioning a key, by a token or from the node's own machine; and snapshots.

use super::{Check, check};
use crate::hall::hall;
use crate::judge::Need;
use crate::judge::field::{Field, submitting};
use crate::judge::talk::{has_members, member, number, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::{json, key, now};
use crate::wire::Ask;
use client::audit::audit_snapshot;
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::schnorr::KeyPair;
use protocol::{Code, Commit, EnclaveId, Json};

const KEYS: &str = "enc.md 8.1";
const SNAPSHOT: &str = "enc.md 8.2";
const CALM: &str = crate::hall::CALM;

fn order(enclave: &EnclaveId, secret: &[u8; 32], more: &str) -> Ask {
    let body = format!(r#"{{"enclave_id":"{enclave}","sequencer_priv":"{}"{more}}}"#, hex(secret));
    Ask::post(&format!("/enclaves/{enclave}/init-with-priv"), body)
}

/// A key for one enclave, and its secret.
fn provisioned(f: &Field<'_>) -> Result<([u8; 32], KeyPair), Why> {
    let secret = f.bytes("a sequencer's secret");
    Ok((secret, KeyPair::from_secret(&secret).because("a key")?))
}

/// A Manifest for an id that is not its hash.
fn unbound(f: &Field<'_>, id: EnclaveId, sequencer: &KeyPair, author: &KeyPair) -> Commit {
    let people = [author, &key(12), &key(13), &key(14)];
    let content = hall(&sequencer.public(), CALM, people);
    Draft { enclave: id, ..Draft::manifest(author, &content, f.nonce(), now() + 60_000) }.sign(author).into_commit()
}

fn local(ask: Ask) -> Ask {
    ask.header("Host", "localhost:8080")
}

pub const CHECKS: &[Check] = &[
    check(
        "operator.provisions",
        KEYS,
        "init-with-priv answers {ok, enclave_id, sequencer_pubkey}, and the same again for the same key.",
        |f| {
            let (secret, pair) = provisioned(f)?;
            let id = EnclaveId(f.bytes("an id"));
            for _ in 0..2 {
                let answer = f.take(&f.operator(order(&id, &secret, "")))?;
                has_members("the answer", &answer, &["enclave_id", "ok", "sequencer_pubkey"])?;
                equal("the key", text(&answer, "sequencer_pubkey")?, pair.public().hex().as_str())?;
            }
            f.refuse(&f.operator(order(&id, &f.bytes("another secret"), "")), Code::EnclaveExists).map(drop)
        },
    )
    .with(Need::Token),
    check(
        "operator.unbound",
        "enc.md 2",
        "An id that was provisioned and is not its Manifest's hash is unbound, and says so.",
        |f| {
            let (secret, pair) = provisioned(f)?;
            let (id, author) = (EnclaveId(f.bytes("an id")), f.key("author"));
            let manifest = unbound(f, id, &pair, &author);
            f.refuse(&submitting(&manifest), Code::InvalidManifest)?;
            f.take(&f.operator(order(&id, &secret, "")))?;
            let receipt = f.submit(&manifest)?;
            equal("the sequencer", receipt.position.sequencer, pair.public())?;
            for action in ["info/manifest", "info/enclave"] {
                let info = f.take(&Ask::get(&format!("/enclaves/{id}/{action}")))?;
                equal("bound", member(&info, "bound")?, &Json::Bool(false))?;
                equal("sequencer", text(&info, "sequencer")?, pair.public().hex().as_str())?;
            }
            Ok(())
        },
    )
    .with(Need::Token),
    check(
        "operator.named-owner",
        KEYS,
        "With owner only a Manifest from that key is taken; until then everything else is enclave_not_found.",
        |f| {
            let (secret, pair) = provisioned(f)?;
            let (id, owner) = (EnclaveId(f.bytes("an id")), f.key("owner"));
            f.take(&f.operator(order(&id, &secret, &format!(r#","owner":"{}""#, owner.public()))))?;
            f.refuse(&submitting(&unbound(f, id, &pair, &f.key("somebody"))), Code::EnclaveNotFound)?;
            f.refuse(&Ask::get(&format!("/enclaves/{id}/sth")), Code::EnclaveNotFound)?;
            f.submit(&unbound(f, id, &pair, &owner)).map(drop)
        },
    )
    .with(Need::Token),
    check("operator.existing", KEYS, "An enclave that is here gets no other key: enclave_exists.", |f| {
        let room = f.hall()?;
        f.refuse(&f.operator(order(&room.enclave, &f.bytes("a secret"), "")), Code::EnclaveExists).map(drop)
    })
    .with(Need::Token),
    check(
        "operator.keys-that-are-none",
        KEYS,
        "A secret that is no scalar, or an owner that is no key, is invalid_structure.",
        |f| {
            let id = EnclaveId(f.bytes("an id"));
            for secret in [[0; 32], [0xff; 32]] {
                f.refuse(&f.operator(order(&id, &secret, "")), Code::InvalidStructure)?;
            }
            f.refuse(&f.operator(order(&id, &f.bytes("a secret"), r#","owner":"ab""#)), Code::InvalidStructure)?;
            f.take(&f.operator(order(&id, &f.bytes("a secret"), ""))).map(drop)
        },
    )
    .with(Need::Token),
    check("operator.token", KEYS, "Without the token, or with another, init-with-priv is unauthorized.", |f| {
        let id = EnclaveId(f.bytes("an id"));
        let ask = order(&id, &f.bytes("a secret"), "");
        let good = format!("Bearer {}", f.node.token.as_deref().unwrap_or_default());
        for wrong in
            [good[..good.len() - 1].to_owned(), format!("{good}x"), "Bearer".into(), good.replace("Bearer", "Basic")]
        {
            f.refuse(&ask.clone().header("Authorization", &wrong), Code::Unauthorized)?;
        }
        f.refuse(&ask, Code::Unauthorized)?;
        f.refuse(&local(ask.clone()), Code::Unauthorized)?;
        f.take(&f.operator(ask)).map(drop)
    })
    .with(Need::Token),
    check(
        "operator.by-loopback",
        KEYS,
        "Without a token configured, this machine may provision, by Host localhost, 127.0.0.1 or [::1] only.",
        |f| {
            let ask = |what: &str| order(&EnclaveId(f.bytes(what)), &f.bytes("a secret"), "");
            for host in ["localhost", "127.0.0.1:65535", "[::1]:8080"] {
                f.take(&ask(host).header("Host", host))?;
            }
            for host in ["node.example", "localhost.example", "127.0.0.2", "0.0.0.0"] {
                f.refuse(&ask("refused").header("Host", host), Code::Unauthorized)?;
            }
            Ok(())
        },
    )
    .with(Need::Loopback),
    check(
        "operator.behind-a-proxy",
        KEYS,
        "A request with Origin, Forwarded, X-Forwarded-* or Via is not from this machine.",
        |f| {
            let ask = || local(order(&EnclaveId(f.bytes("an id")), &f.bytes("a secret"), ""));
            for (name, value) in [
                ("Origin", "http://localhost:8080"),
                ("Origin", "null"),
                ("Forwarded", "for=127.0.0.1"),
                ("Via", "1.1 proxy"),
                ("X-Forwarded-For", "127.0.0.1"),
                ("X-Forwarded-Anything", "x"),
            ] {
                f.refuse(&ask().header(name, value), Code::Unauthorized)?;
            }
            f.take(&ask()).map(drop)
        },
    )
    .with(Need::Loopback),
    check(
        "snapshot.replays",
        SNAPSHOT,
        "The owner's snapshot holds the whole log, which replays to its head; deleted content is not in it.",
        |f| {
            let room = f.hall()?;
            let bob = &room.people.bob;
            let said = room.say(bob, "message", r#""to be deleted""#)?;
            room.submit(&room.referring(bob, "Delete", &said.id.hex()))?;
            room.close()?;
            room.say(bob, "message", r#""kept""#)?;
            let answer = f.ask(&room.signed(Ask::get(&room.path("snapshot")), &room.people.alice))?;
            equal("status", answer.status, 200)?;
            let (enclave, audited) = audit_snapshot(&answer.body, None).because("it replays")?;
            equal("the log", (enclave, audited.replayed.events, audited.tree_size), (room.enclave, 4, 1))?;
            hold(!answer.body.windows(13).any(|window| window == b"to be deleted"), "deleted content is in no copy")
        },
    ),
    check(
        "snapshot.is-the-owners",
        SNAPSHOT,
        "A snapshot is for the owner: others, and nobody, are unauthorized.",
        |f| {
            let room = f.hall()?;
            let ask = Ask::get(&room.path("snapshot"));
            for ask in
                [ask.clone(), room.signed(ask.clone(), &room.people.bob), room.signed(ask.clone(), &room.people.carol)]
            {
                f.refuse(&ask, Code::Unauthorized)?;
            }
            equal("the owner", f.ask(&room.signed(ask, &room.people.alice))?.status, 200)
        },
    ),
    check("restore.existing", SNAPSHOT, "A log that is here is not restored over: enclave_exists.", |f| {
        let room = f.hall()?;
        let snapshot = f.ask(&room.signed(Ask::get(&room.path("snapshot")), &room.people.alice))?;
        equal("the snapshot", snapshot.status, 200)?;
        let ask = Ask::post_as("application/octet-stream", &room.path("restore"), snapshot.body);
        f.refuse(&room.signed(ask, &room.people.alice), Code::EnclaveExists)?;
        room.say(&room.people.bob, "message", "1").map(drop)
    }),
    check(
        "info.manifest",
        "enc.md 7",
        "info/manifest answers {enclave, sequencer, bound, manifest} to anybody.",
        |f| {
            let room = f.closed()?;
            let info = room.get("info/manifest")?;
            has_members("the answer", &info, &["bound", "enclave", "manifest", "sequencer"])?;
            equal("enclave", text(&info, "enclave")?, room.enclave.hex().as_str())?;
            equal("bound", member(&info, "bound")?, &Json::Bool(true))?;
            equal("the content", member(member(&info, "manifest")?, "content")?, &json(&room.manifest.content))
        },
    ),
    check("info.public-part", "enc.md 7", "info/enclave tells a stranger the public part only.", |f| {
        let room = f.closed()?;
        let public = ["bound", "enclave", "live", "log_vkey", "sequencer", "status", "tree_size"];
        has_members("for anybody", &room.info(None)?, &public)?;
        has_members("for a stranger", &room.info(Some(&room.people.stranger))?, &public)?;
        equal("live", member(&room.info(None)?, "live")?, &Json::Bool(true))
    }),
    check(
        "info.for-readers",
        "enc.md 7",
        "info/enclave tells a reader last_seq, open_events, gates and counts too.",
        |f| {
            let room = f.closed()?;
            room.say(&room.people.bob, "message", "1")?;
            let info = room.info(Some(&room.people.bob))?;
            equal("last_seq and open_events", (number(&info, "last_seq")?, number(&info, "open_events")?), (1, 2))?;
            equal("gates", member(&info, "gates")?.to_jcs().as_str(), r#"{"door":false}"#)?;
            equal("counts", member(&info, "counts")?.to_jcs().as_str(), r#"{"Manifest":1,"message":1}"#)
        },
    ),
];
