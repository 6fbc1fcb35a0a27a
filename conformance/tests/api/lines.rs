//! `POST /commits`: a line in, a line out, in order; each judged alone; what cuts it off.

use crate::world::{CALM, World, number, text};
use conformance::people::{json, key, now};
use conformance::wire::{Answer, Ask, Connection};
use protocol::commit::Draft;
use protocol::json::{self as reader, MAX_DEPTH};
use protocol::{Commit, EnclaveId, Json, Receipt};
use std::io::Write;

const NDJSON: &str = "application/x-ndjson";

fn send(world: &World, body: impl Into<Vec<u8>>) -> Vec<Json> {
    let answer = world.ask(&Ask::post_as(NDJSON, "/commits", body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(NDJSON));
    lines(&answer)
}

fn lines(answer: &Answer) -> Vec<Json> {
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'), "each answer ends its line");
    let parsed = text.lines().map(|line| {
        let value = reader::parse(line.as_bytes(), MAX_DEPTH).expect("each line is JSON");
        assert_eq!(value.to_jcs(), line, "in canonical form");
        value
    });
    parsed.collect()
}

fn line(commit: &Commit) -> String {
    commit.to_json().to_jcs()
}

fn error(answer: &Json) -> &str {
    answer.member("error").and_then(Json::as_text).unwrap_or("none")
}

fn messages(world: &World, enclave: EnclaveId, count: u64) -> Vec<Commit> {
    let exp = now() + 60_000;
    (0..count)
        .map(|place| Draft::new(enclave, "message", &Json::from(place), exp).sign(&world.bob).into_commit())
        .collect()
}

#[test]
fn each_line_is_judged_alone_and_answered_in_its_place() {
    let world = World::new();
    let other = world.create("other", CALM);
    let here = messages(&world, world.enclave, 3);
    let there = messages(&world, other, 3);
    let stranger = world.commit(&world.stranger, "message", "1");
    let changed = Commit { content: "7".into(), ..here[2].clone() };
    let old = Draft { exp: 1, ..world.draft("message", "1") }.sign(&world.bob).into_commit();
    let body = [
        line(&here[0]),
        String::new(),
        line(&there[0]),
        "  \t\r".into(),
        line(&stranger),
        "{".into(),
        line(&here[0]),
        line(&changed),
        format!(" {} \r", line(&there[1])),
        "{}".into(),
        line(&old),
        line(&here[1]),
    ];
    // The last line needs no end.
    let answers = send(&world, body.join("\n"));
    let expected: [(&str, Option<&Commit>); 10] = [
        ("none", Some(&here[0])),
        ("none", Some(&there[0])),
        ("unauthorized", Some(&stranger)),
        ("invalid_json", None),
        ("duplicate", Some(&here[0])),
        ("invalid_hash", Some(&changed)),
        ("none", Some(&there[1])),
        ("invalid_structure", None),
        ("expired", Some(&old)),
        ("none", Some(&here[1])),
    ];
    assert_eq!(answers.len(), expected.len(), "blank lines have no answer");
    for (place, (answer, (code, commit))) in answers.iter().zip(expected).enumerate() {
        assert_eq!(error(answer), code, "line {place}: {}", answer.to_jcs());
        let hash = commit.map(|commit| Json::from(commit.hash.hex()));
        assert_eq!(answer.member("hash"), hash.as_ref(), "line {place}: the hash tells which it was");
        if let (Some(commit), "none") = (commit, code) {
            let receipt = Receipt::from_json(answer.clone()).expect("a receipt");
            receipt.verify(commit, &world.node.sequencer).expect("it holds");
        }
    }
    let first = Receipt::from_json(answers[0].clone()).expect("a receipt");
    let duplicate = answers[4].member("receipt").expect("a duplicate has the first receipt");
    assert_eq!(duplicate.to_jcs(), first.to_json().to_jcs());
}

#[test]
fn answers_come_while_lines_are_still_sent() {
    let world = World::new();
    let commits = messages(&world, world.enclave, 2);
    let mut connection = Connection::open(&world.node.address).expect("the node listens");
    let head = Ask::of("POST", "/commits").header("Content-Type", NDJSON).header("Transfer-Encoding", "chunked");
    connection.send(&head).expect("the head goes out");
    let (first, second) = (format!("{}\n", line(&commits[0])), format!("{}\n", line(&commits[1])));
    let mut half = Some(second);
    let mut stream = connection.try_clone().expect("a second handle");
    write!(stream, "{:x}\r\n{first}\r\n", first.len()).expect("the first line goes out");
    let mut seqs = Vec::new();
    let answer = connection.read_streamed(&mut |piece| {
        seqs.push(String::from_utf8_lossy(piece).into_owned());
        // The second line is sent only once the first is answered.
        if let Some(second) = half.take() {
            write!(stream, "{:x}\r\n{second}\r\n0\r\n\r\n", second.len()).expect("the second line goes out");
        }
    });
    let answer = answer.expect("the whole answer comes");
    assert_eq!((answer.status, seqs.len()), (200, 2), "{seqs:?}");
    assert_eq!(lines(&answer).iter().map(|receipt| number(receipt, "seq")).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_hundred_bad_lines_end_it() {
    let world = World::new();
    let good = messages(&world, world.enclave, 3);
    let before = world.tables.dump();
    let foreign = key(9);
    let bad = |place: u64| match place % 5 {
        0 => "{".into(),
        1 => "{\"a\":1}".into(),
        2 => line(&Commit { content: "8".into(), ..good[0].clone() }),
        3 => line(&Commit { sig: foreign.sign(good[0].hash.as_bytes()), ..good[0].clone() }),
        _ => line(
            &Draft::new(EnclaveId([8; 32]), "message", &Json::from(place), now() + 60_000)
                .sign(&world.bob)
                .into_commit(),
        ),
    };
    let body: Vec<String> = (0..200).map(bad).collect();
    let answers = send(&world, body.join("\n"));
    let last = answers.last().expect("there are answers");
    assert_eq!((error(last), number(last, "limit")), ("limit_exceeded", 100));
    assert!(answers.len() > 100, "each of the hundred is answered, then the last line: {}", answers.len());
    assert_eq!(before, world.tables.dump(), "none of it changed anything");
    // 99 do not, and what fails at a later step does not count.
    let mut body: Vec<String> = (0..99).map(bad).collect();
    body.extend((0..150).map(|_| line(&world.commit(&world.stranger, "message", "1"))));
    body.push(line(&good[1]));
    let answers = send(&world, body.join("\n"));
    assert_eq!((answers.len(), error(&answers[249])), (250, "none"));
    assert_eq!(text(&answers[249], "hash"), good[1].hash.hex());
}

#[test]
fn lines_and_bytes_have_limits() {
    let limits = "[limits]\nlines = 4\nlines_bytes = 20000\ncommit_bytes = 3000\n";
    let world = World::configured(limits).with_hall();
    let commits = messages(&world, world.enclave, 6);
    let body: Vec<String> = commits.iter().map(line).collect();
    let answers = send(&world, body.join("\n"));
    assert_eq!(answers.iter().map(error).collect::<Vec<_>>(), ["none", "none", "none", "none", "limit_exceeded"]);
    assert_eq!(number(&answers[4], "limit"), 4);
    let refused = world.ask(&World::submitting(&commits[0])).json();
    assert_eq!(error(&refused), "duplicate", "what came before the limit is done");
    assert_eq!(world.ask(&World::submitting(&commits[5])).status, 200, "what came after it is not");
    let large = format!("{}\n", " ".repeat(2500)).repeat(10);
    let answers = send(&world, large);
    assert_eq!(answers.iter().map(error).collect::<Vec<_>>(), ["too_large"]);
    assert_eq!(number(&answers[0], "limit"), 20_000);
    let fat = Draft { content: format!("\"{}\"", "x".repeat(3000)), ..world.draft("message", "0") };
    let fat = line(&fat.sign(&world.bob).into_commit());
    let slim = line(&world.commit(&world.bob, "message", "\"slim\""));
    let answers = send(&world, [fat, slim].join("\n"));
    assert_eq!(answers.iter().map(error).collect::<Vec<_>>(), ["too_large", "none"], "a line too long is one line");
    assert!(send(&world, "").is_empty() && send(&world, "\n\n\n").is_empty(), "nothing in, nothing out");
}

#[test]
fn a_thousand_lines_keep_their_order() {
    let world = World::new();
    let enclaves: Vec<EnclaveId> = (0..4).map(|nonce| world.create(&format!("many-{nonce}"), CALM)).collect();
    let commits: Vec<Commit> = (0..1000_u64)
        .map(|place| {
            let enclave = enclaves[usize::try_from(place % 4).expect("below four")];
            Draft::new(enclave, "message", &Json::from(place), now() + 60_000).sign(&world.bob).into_commit()
        })
        .collect();
    let body: Vec<String> = commits.iter().map(line).collect();
    let answers = send(&world, body.join("\n"));
    assert_eq!(answers.len(), commits.len());
    for (place, (answer, commit)) in answers.iter().zip(&commits).enumerate() {
        let receipt = Receipt::from_json(answer.clone()).unwrap_or_else(|_| panic!("{}", answer.to_jcs()));
        receipt.verify(commit, &world.node.sequencer).expect("each receipt is its own commit's");
        assert_eq!(receipt.position.seq, 1 + place as u64 / 4, "the order of lines is the order of the log");
    }
    let nested = json(&format!("{}{}", "[".repeat(54), "]".repeat(54)));
    let deep = world.commit(&world.bob, "message", &nested.to_jcs());
    assert_eq!(send(&world, line(&deep)).iter().map(error).collect::<Vec<_>>(), ["none"]);
}

/// What the writer refuses as a whole is still told line by line.
#[test]
fn a_node_that_may_not_write_says_so_of_each_line() {
    let mut world = World::configured("").with_hall();
    let commits = messages(&world, world.enclave, 3);
    world.restart(|folder| {
        for shard in 0..2 {
            std::fs::write(folder.join(format!("data/shard-{shard}.mark")), "1000000\n").expect("the mark is writable");
        }
    });
    let body: Vec<String> = commits.iter().map(line).collect();
    let answers = send(&world, body.join("\n"));
    assert_eq!(answers.iter().map(error).collect::<Vec<_>>(), ["rolled_back"; 3]);
    for (answer, commit) in answers.iter().zip(&commits) {
        assert_eq!(answer.member("hash"), Some(&Json::from(commit.hash.hex())), "{}", answer.to_jcs());
    }
}
