//! The log in C2SP's formats: tiles, entry bundles, checkpoints; and the node's log of heads.

use super::{Check, check};
use crate::judge::room::Room;
use crate::judge::talk::{has_members, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::wire::Ask;
use protocol::entry::Entry;
use protocol::head::{BIP340_TYPE, VerifiedSth, checkpoint_message, checkpoint_origin};
use protocol::proof::HeadsAnswer;
use protocol::schnorr;
use protocol::{Code, Signature};
use std::time::{Duration, Instant};
use tlog::checkpoint::{Origin, verify_checkpoint};
use tlog::note::{KeyName, Note, key_id};
use tlog::vkey::Vkey;

const TILES: &str = "c2sp tlog-tiles";
const CHECKPOINT: &str = "c2sp tlog-checkpoint";
const LOG: &str = "enc.md 5";

/// A log of two entries, of two and of one event.
fn two_entries<'a>(f: &'a crate::judge::field::Field<'_>) -> Result<(Room<'a>, VerifiedSth), Why> {
    let room = f.hall()?;
    room.say(&room.people.bob, "message", "1")?;
    room.close()?;
    room.say(&room.people.bob, "message", "2")?;
    let head = room.close()?;
    equal("tree_size", head.sth().tree_size, 2)?;
    Ok((room, head))
}

fn tile(room: &Room<'_>, path: &str) -> Result<Vec<u8>, Why> {
    let answer = room.fetch(&format!("tile/{path}"))?;
    equal(format!("tile {path}"), answer.status, 200)?;
    Ok(answer.body)
}

fn entries(room: &Room<'_>) -> Result<Vec<Entry>, Why> {
    let bytes = tile(room, "entries/000.p/2")?;
    let rows = tlog::entry_bundle::decode(&bytes, 2).because("an entry bundle")?;
    rows.into_iter().map(|row| row.try_into().ok().and_then(Entry::decode).because("80 bytes of an entry")).collect()
}

fn note(room: &Room<'_>) -> Result<Note, Why> {
    let answer = room.fetch("checkpoint")?;
    equal("status", answer.status, 200)?;
    Note::parse(&answer.body).because("a signed note")
}

pub const CHECKS: &[Check] = &[
    check("tiles.entries", TILES, "An entry bundle holds each entry's 80 bytes behind their length.", |f| {
        let (room, _) = two_entries(f)?;
        let places: Vec<(u64, u64)> = entries(&room)?.iter().map(|entry| (entry.first_seq, entry.count)).collect();
        equal("first_seq and count", places, vec![(0, 2), (2, 1)])
    }),
    check(
        "tiles.hashes",
        TILES,
        "A hash tile of level 0 holds the entries' leaf hashes, and they make the head's root.",
        |f| {
            let (room, head) = two_entries(f)?;
            let leaves: Vec<u8> = entries(&room)?.iter().flat_map(Entry::leaf_hash).collect();
            hold(tile(&room, "0/000.p/2")? == leaves, "the tile holds the leaf hashes")?;
            equal("the root", protocol::cbor::sha256(&[&[1][..], &leaves].concat()), head.sth().root_hash)
        },
    ),
    check("tiles.narrower", TILES, "A narrower partial tile is the beginning of a wider one.", |f| {
        let (room, _) = two_entries(f)?;
        let (one, two) = (tile(&room, "0/000.p/1")?, tile(&room, "0/000.p/2")?);
        equal("lengths", (one.len(), two.len()), (32, 64))?;
        hold(two.starts_with(&one), "one begins the other")
    }),
    check("tiles.not-filled", LOG, "A tile that the log does not fill is 404.", |f| {
        let (room, _) = two_entries(f)?;
        tile(&room, "0/000.p/2")?;
        for path in ["0/000", "0/000.p/3", "0/001.p/1", "1/000.p/1", "entries/000", "entries/000.p/3"] {
            f.refuse(&Ask::get(&room.path(&format!("tile/{path}"))), Code::NotFound)?;
        }
        Ok(())
    }),
    check("tiles.paths", TILES, "What is no tile's path is 404.", |f| {
        let (room, _) = two_entries(f)?;
        tile(&room, "0/000.p/2")?;
        for path in ["0/0", "x/000", "0/000.p/0", "0/000.p/256", "0/000.p/02", "0/x000/000", "64/000"] {
            let answer = room.fetch(&format!("tile/{path}"))?;
            equal(format!("{path}: {:.60}", answer.text()), answer.status, 404)?;
        }
        Ok(())
    }),
    check("tiles.partial-are-not-kept", LOG, "Partial tiles and the checkpoint are served no-cache.", |f| {
        let (room, _) = two_entries(f)?;
        for action in ["tile/0/000.p/2", "tile/entries/000.p/1", "checkpoint"] {
            let answer = room.fetch(action)?;
            equal("status", answer.status, 200)?;
            let control = answer.header("cache-control").because("Cache-Control")?;
            hold(control.contains("no-cache"), format!("{action}: {control}"))?;
        }
        Ok(())
    }),
    check("tiles.full", LOG, "A full tile is served as immutable.", |f| {
        let room = f.hall_with(r#""bundle":{"size":1,"timeout":3600000},"#)?;
        let body: Vec<String> =
            (0..255).map(|n| room.commit(&room.people.bob, "message", &n.to_string()).to_json().to_jcs()).collect();
        let answer = f.ask(&Ask::post_as("application/x-ndjson", "/commits", body.join("\n")))?;
        equal("lines", (answer.status, answer.text().lines().count()), (200, 255))?;
        let head = room.sth()?;
        equal("tree_size", head.sth().tree_size, 256)?;
        for path in ["tile/0/000", "tile/entries/000"] {
            let full = room.fetch(path)?;
            equal("status", full.status, 200)?;
            hold(
                full.header("cache-control").is_some_and(|control| control.contains("immutable")),
                format!("{path}: {:?}", full.header("cache-control")),
            )?;
        }
        hold(tile(&room, "1/000.p/1")? == head.sth().root_hash, "level 1 holds the root of the first 256 leaves")
    }),
    check(
        "checkpoint.log-key",
        CHECKPOINT,
        "The checkpoint's Ed25519 line verifies by log_vkey, and states the head's size and root.",
        |f| {
            let (room, head) = two_entries(f)?;
            let vkey = Vkey::parse(text(&room.info(None)?, "log_vkey")?).because("log_vkey")?;
            let origin = Origin::parse(&checkpoint_origin(&room.enclave)).because("an origin")?;
            let checkpoint = verify_checkpoint(&note(&room)?, &origin, &vkey).because("the line holds")?;
            equal("size and root", (checkpoint.size, checkpoint.root), (head.sth().tree_size, head.sth().root_hash))
        },
    ),
    check("checkpoint.sequencer-line", LOG, "The checkpoint's first line is the sequencer's, by BIP-340.", |f| {
        let (room, _) = two_entries(f)?;
        let note = note(&room)?;
        let name = KeyName::parse(&checkpoint_origin(&room.enclave)).because("a key name")?;
        let first = note.signatures().first().because("a line")?;
        let key = [&BIP340_TYPE[1..], &room.sequencer.0].concat();
        equal("name and id", (first.name(), first.id()), (&name, key_id(&name, BIP340_TYPE[0], &key)))?;
        let signature = Signature::try_from(first.signature()).because("64 bytes")?;
        schnorr::verify(&room.sequencer, &checkpoint_message(note.text()), &signature).because("the line holds")
    }),
    check(
        "checkpoint.is-made-once",
        LOG,
        "A checkpoint is made once for each size: asked twice it is the same bytes.",
        |f| {
            let (room, _) = two_entries(f)?;
            equal("the note", room.fetch("checkpoint")?.text(), room.fetch("checkpoint")?.text())?;
            note(&room).map(drop)
        },
    ),
    check(
        "heads.proof",
        LOG,
        "The log of heads holds each closing: the newest head is proved by its checkpoint.",
        |f| {
            let (room, head) = two_entries(f)?;
            let info = f.take(&Ask::get("/"))?;
            let vkey = Vkey::parse(text(&info, "heads_vkey")?).because("heads_vkey")?;
            let origin = Origin::parse(vkey.name().as_str()).because("an origin")?;
            let patience = Instant::now() + Duration::from_secs(20);
            loop {
                let answer = f.ask(&Ask::get(&format!("/heads/proof?enclave={}", room.enclave)))?;
                hold(Instant::now() < patience, format!("a proof within 20 s, not {:.200}", answer.text()))?;
                if answer.status != 200 {
                    continue;
                }
                let value = crate::judge::node::parse(&answer)?;
                let listed =
                    ["audit_path", "checkpoint", "enclave", "heads_size", "leaf_index", "root_hash", "tree_size"];
                has_members("the answer", &value, &listed)?;
                let proof = HeadsAnswer::from_json(value).because("its shape")?;
                let note = Note::parse(proof.checkpoint.as_bytes()).because("a signed note")?;
                let checkpoint = verify_checkpoint(&note, &origin, &vkey).because("the node's line holds")?;
                proof.verify(&room.enclave, checkpoint.size, &checkpoint.root).because("the head is in the log")?;
                if proof.tree_size == head.sth().tree_size {
                    return equal("the root", proof.root_hash, head.sth().root_hash);
                }
            }
        },
    ),
    check("heads.unknown", LOG, "Of an enclave that is not here there is no head.", |f| {
        f.hall()?.close()?;
        let answer = f.ask(&Ask::get(&format!("/heads/proof?enclave={}", protocol::ids::hex(&f.bytes("nowhere")))))?;
        equal("status", answer.status, 404)?;
        hold(
            ["not_found", "enclave_not_found"].contains(&text(&crate::judge::node::parse(&answer)?, "error")?),
            answer.text(),
        )
    }),
];
