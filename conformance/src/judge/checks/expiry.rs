//! Step 2: expiry, by the node's clock.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::why::hold;
use crate::people::now;
use protocol::Code;
use protocol::commit::Draft;
use protocol::event::within_window;

const SECTION: &str = "enc.md 3";

/// A second more than two clocks that agree can differ by while a request is on its way.
fn refused(f: &Field<'_>, code: Code, exps: &[u64]) -> Verdict {
    let room = f.hall()?;
    for exp in exps {
        let commit = Draft { exp: *exp, ..room.draft("message", "1") }.sign(&room.people.bob).into_commit();
        room.refused(&commit, code).map_err(|why| why.about(format!("exp {exp} at {}", now())))?;
    }
    room.say(&room.people.bob, "message", "2").map(drop)
}

fn taken(f: &Field<'_>, exp: u64) -> Verdict {
    let room = f.hall()?;
    let commit = Draft { exp, ..room.draft("message", "1") }.sign(&room.people.bob).into_commit();
    let receipt = room.submit(&commit)?;
    hold(within_window(exp, receipt.position.timestamp), "timestamp and exp fit")
}

pub const CHECKS: &[Check] = &[
    check("expiry.past", SECTION, "exp more than 60 s ago is expired 400.", |f| {
        refused(f, Code::Expired, &[0, now() - 86_400_000, now() - 65_000])
    }),
    check("expiry.skew", SECTION, "exp up to 60 s ago is taken: clocks differ.", |f| taken(f, now() - 45_000)),
    check("expiry.far", SECTION, "exp more than an hour ahead is exp_too_far 400.", |f| {
        refused(f, Code::ExpTooFar, &[now() + 3_630_000, now() + 86_400_000, protocol::MAX_INTEGER])
    }),
    check("expiry.hour", SECTION, "exp up to an hour ahead is taken.", |f| taken(f, now() + 3_570_000)),
    check("expiry.now", SECTION, "exp of this moment is taken.", |f| taken(f, now())),
];
