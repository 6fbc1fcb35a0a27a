//! The clock is set forward and back by hours under a node that runs.

use crate::table::report_moment;
use conformance::inside::Inside;
use conformance::people::now;
use conformance::told::{Field, Told};
use conformance::wire::{Answer, Ask, ask};
use protocol::Code;
use std::time::{Duration, Instant};

const HOUR: i64 = 3_600_000;

/// A node, and what it was told.
struct Scene {
    node: Inside,
    field: Field,
    told: Told,
    number: u64,
}

impl Scene {
    fn readiness(&self) -> String {
        let answer: Answer = ask(&self.node.server().admin().to_string(), &Ask::get("/readyz"));
        assert_eq!(answer.status == 200, answer.text() == "ready\n");
        answer.text().trim_end().to_owned()
    }

    /// A commit to the first enclave that is good for a minute from there; the code of its refusal.
    fn commit(&mut self, ahead_ms: i64) -> Option<Code> {
        self.number += 1;
        let exp = now().saturating_add_signed(ahead_ms) + 60_000;
        let commit = self.field.commit_to(self.field.enclaves[0], self.number, exp);
        let (started, told) = (Instant::now(), self.field.post(&self.node.address(), &commit));
        assert!(started.elapsed() < Duration::from_secs(10), "an answer comes at once");
        assert!(told.unanswered.is_empty());
        let code = told.refused.first().map(|(_, code)| *code);
        self.told.join(told);
        code
    }
}

#[test]
fn hours_forward_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Inside::start(folder.path());
    let field = Field::make_with(&node.address(), node.server().host().keys.node(), 1, 60_000);
    let mut scene = Scene { node, field, told: Told::default(), number: 0 };
    // Where the clock stands, for when the commit is made, what comes of it, and what /readyz says.
    let rows: &[(i64, i64, Option<Code>, &str)] = &[
        (0, 0, None, "ready"),
        (3 * HOUR, 3 * HOUR, None, "ready"),
        (3 * HOUR, 0, Some(Code::Expired), "ready"),
        (3 * HOUR, 6 * HOUR, Some(Code::ExpTooFar), "ready"),
        (0, 0, Some(Code::ClockBehind), "clock_behind"),
        (-5 * HOUR, -5 * HOUR, Some(Code::ClockBehind), "clock_behind"),
        (3 * HOUR - 120_000, 3 * HOUR, Some(Code::ClockBehind), "clock_behind"),
        // Less than a minute back is borne: time stands still in the enclave.
        (3 * HOUR - 30_000, 3 * HOUR, None, "ready"),
        (3 * HOUR + 1000, 3 * HOUR, None, "ready"),
        (9 * HOUR, 9 * HOUR, None, "ready"),
        (8 * HOUR, 8 * HOUR, Some(Code::ClockBehind), "clock_behind"),
        (9 * HOUR + 1000, 9 * HOUR, None, "ready"),
    ];
    for (place, (ahead, made, expected, readiness)) in rows.iter().enumerate() {
        scene.node.set_ahead(*ahead);
        assert_eq!(scene.commit(*made), *expected, "row {place}");
        assert_eq!(scene.readiness(), *readiness, "row {place}");
        let log = ask(&scene.node.address(), &Ask::get(&format!("/{}/sth", scene.field.enclaves[0])));
        assert_ne!(log.status / 100, 5, "row {place}: what is there is read: {}", log.text());
    }
    scene.field.check_ahead(&scene.node.address(), &scene.told, 9 * HOUR + 1000);
    // A start finds its enclaves in the future, if the clock was mended in the meantime, and says so to who commits.
    let Scene { node, field, told, number } = scene;
    drop(node);
    let node = Inside::start(folder.path());
    let mut scene = Scene { node, field, told, number };
    assert_eq!(scene.commit(0), Some(Code::ClockBehind));
    scene.node.set_ahead(9 * HOUR + 1000);
    assert_eq!(scene.commit(9 * HOUR), None);
    scene.field.check_ahead(&scene.node.address(), &scene.told, 9 * HOUR + 1000);
    report_moment("the clock 3 to 14 hours forward and back", &scene.told);
}
