//! `POST /commits`: a line in, a line out, in order.

use super::{Check, check};
use crate::judge::field::Field;
use crate::judge::talk::{number, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::wire::{Ask, Connection};
use protocol::commit::Draft;
use protocol::json::{self, MAX_DEPTH};
use protocol::{Commit, Json, Receipt};
use std::io::Write;

const SECTION: &str = "enc.md 7";
const NDJSON: &str = "application/x-ndjson";

fn line(commit: &Commit) -> String {
    commit.to_json().to_jcs()
}

fn parsed(text: &str) -> Result<Vec<Json>, Why> {
    text.lines().map(|line| json::parse(line.as_bytes(), MAX_DEPTH).because("each line is JSON")).collect()
}

/// The answers to these lines.
fn send(f: &Field<'_>, body: impl Into<Vec<u8>>) -> Result<Vec<Json>, Why> {
    let answer = f.ask(&Ask::post_as(NDJSON, "/commits", body))?;
    equal("status", answer.status, 200)?;
    parsed(&answer.text())
}

fn error(answer: &Json) -> &str {
    answer.member("error").and_then(Json::as_text).unwrap_or("none")
}

fn errors(answers: &[Json]) -> Vec<&str> {
    answers.iter().map(error).collect()
}

fn receipt(answer: &Json, commit: &Commit) -> Result<Receipt, Why> {
    let receipt = Receipt::from_json(answer.clone()).because(format!("a receipt: {:.100}", answer.to_jcs()))?;
    receipt.verify(commit, &receipt.position.sequencer).because("it is its own commit's")?;
    Ok(receipt)
}

pub const CHECKS: &[Check] = &[
    check("lines.receipts", SECTION, "Each commit has its receipt, in the order of the lines.", |f| {
        let room = f.hall()?;
        let commits: Vec<Commit> = (0..50).map(|n| room.commit(&room.people.bob, "message", &n.to_string())).collect();
        let body: Vec<String> = commits.iter().map(line).collect();
        let answers = send(f, body.join("\n"))?;
        equal("lines", answers.len(), 50)?;
        for (place, (answer, commit)) in (1..).zip(answers.iter().zip(&commits)) {
            equal("seq", receipt(answer, commit)?.position.seq, place)?;
        }
        Ok(())
    }),
    check("lines.several-enclaves", SECTION, "Lines may be for different enclaves.", |f| {
        let rooms = [f.hall()?, f.hall()?];
        let commits: Vec<Commit> =
            (0..6).map(|n| rooms[n % 2].commit(&rooms[n % 2].people.bob, "message", &n.to_string())).collect();
        let body: Vec<String> = commits.iter().map(line).collect();
        let answers = send(f, body.join("\n"))?;
        equal("lines", answers.len(), 6)?;
        for (place, (answer, commit)) in answers.iter().zip(&commits).enumerate() {
            equal("seq", receipt(answer, commit)?.position.seq, 1 + place as u64 / 2)?;
        }
        Ok(())
    }),
    check(
        "lines.judged-alone",
        SECTION,
        "Each line is judged alone: a refused one stops nothing and has its hash in the answer.",
        |f| {
            let room = f.hall()?;
            let good = [room.commit(&room.people.bob, "message", "1"), room.commit(&room.people.bob, "message", "2")];
            let stranger = room.commit(&room.people.stranger, "message", "1");
            let altered = Commit { content: "7".into(), ..room.commit(&room.people.bob, "message", "3") };
            let old = Draft { exp: 1, ..room.draft("message", "1") }.sign(&room.people.bob).into_commit();
            let body = [
                line(&good[0]),
                line(&stranger),
                "{".into(),
                line(&altered),
                "{}".into(),
                line(&old),
                line(&good[0]),
                line(&good[1]),
            ];
            let answers = send(f, body.join("\n"))?;
            let wanted = vec![
                "none",
                "unauthorized",
                "invalid_json",
                "invalid_hash",
                "invalid_structure",
                "expired",
                "duplicate",
                "none",
            ];
            equal("answers", errors(&answers), wanted)?;
            for (place, commit) in [(1, &stranger), (3, &altered), (5, &old), (6, &good[0])] {
                equal("hash", text(&answers[place], "hash")?, commit.hash.hex().as_str())?;
            }
            receipt(&answers[7], &good[1]).map(drop)
        },
    ),
    check("lines.blank", SECTION, "Blank lines are skipped, and the last line needs no end.", |f| {
        let room = f.hall()?;
        let commits = [room.commit(&room.people.bob, "message", "1"), room.commit(&room.people.bob, "message", "2")];
        let answers = send(f, format!("\n\n{}\r\n  \t\n{}", line(&commits[0]), line(&commits[1])))?;
        equal("lines", answers.len(), 2)?;
        receipt(&answers[1], &commits[1])?;
        equal("nothing in, nothing out", send(f, "\n\n")?.len(), 0)
    }),
    check("lines.streamed", SECTION, "A line is answered before the next is sent.", |f| {
        let room = f.hall()?;
        let commits = [room.commit(&room.people.bob, "message", "1"), room.commit(&room.people.bob, "message", "2")];
        let chunk = |commit: &Commit| {
            let line = format!("{}\n", line(commit));
            format!("{:x}\r\n{line}\r\n", line.len())
        };
        let mut connection = Connection::open(&f.node.address.authority).because("a connection")?;
        let head = Ask::of("POST", &f.node.target("/commits")).header("Content-Type", NDJSON);
        connection.send(&head.header("Transfer-Encoding", "chunked")).because("the head")?;
        let mut stream = connection.try_clone().because("a second handle")?;
        stream.write_all(chunk(&commits[0]).as_bytes()).because("the first line")?;
        let (mut second, mut sent) = (Some(chunk(&commits[1])), Ok(()));
        let answer = connection.read_streamed(&mut |_| {
            if let Some(second) = second.take() {
                sent = stream.write_all(format!("{second}0\r\n\r\n").as_bytes());
            }
        });
        let answer = answer.because("the whole answer")?;
        sent.because("the second line")?;
        let answers = parsed(&answer.text())?;
        equal("lines", answers.len(), 2)?;
        receipt(&answers[0], &commits[0])?;
        receipt(&answers[1], &commits[1]).map(drop)
    }),
    check(
        "lines.hundred-bad",
        SECTION,
        "It ends after 100 lines that failed before step 5, with a last line limit_exceeded.",
        |f| {
            let room = f.hall()?;
            let bad = Commit { content: "8".into(), ..room.commit(&room.people.bob, "message", "1") };
            let body = vec![line(&bad); 150].join("\n");
            let answers = send(f, body)?;
            equal("the last line", answers.last().map(error), Some("limit_exceeded"))?;
            hold((101..=150).contains(&answers.len()), format!("{} lines", answers.len()))?;
            room.stands()
        },
    ),
    check(
        "lines.ninety-nine-bad",
        SECTION,
        "99 such lines do not end it, and lines that failed later do not count.",
        |f| {
            let room = f.hall()?;
            let bad = Commit { content: "8".into(), ..room.commit(&room.people.bob, "message", "1") };
            let stranger = room.commit(&room.people.stranger, "message", "1");
            let good = room.commit(&room.people.bob, "message", "2");
            let body = [vec![line(&bad); 99], vec![line(&stranger); 50], vec![line(&good)]].concat().join("\n");
            let answers = send(f, body)?;
            equal("lines", answers.len(), 150)?;
            receipt(&answers[149], &good).map(drop)
        },
    ),
    check(
        "lines.too-many",
        SECTION,
        "Beyond 10,000 lines it ends with a last line limit_exceeded, and reads no more.",
        |f| {
            let room = f.hall()?;
            let limit = usize::try_from(f.node.limit("lines", 10_000)).because("a limit")?;
            let first = room.commit(&room.people.bob, "message", "0");
            // A line that is a duplicate costs a node little, and counts.
            let body = vec![line(&first); limit + 1].join("\n");
            let answers = send(f, body)?;
            equal("lines", answers.len(), limit + 1)?;
            receipt(&answers[0], &first)?;
            equal("the last line", error(&answers[limit]), "limit_exceeded")
        },
    ),
    check("lines.no-lines", SECTION, "An answer's line that refuses has a message beside its code.", |f| {
        let room = f.hall()?;
        let commit = room.commit(&room.people.stranger, "message", "1");
        let answers = send(f, line(&commit))?;
        equal("lines", answers.len(), 1)?;
        hold(!text(&answers[0], "message")?.is_empty(), "a sentence")?;
        equal("the log stands", number(&room.info(Some(&room.people.alice))?, "last_seq")?, 0)
    }),
];
