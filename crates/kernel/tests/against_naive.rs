//! The kernel and the naive model answer alike: on random manifests and the four templates, to random scripts, in code and in roles.

use crate::scripts::{Tally, run};
use proptest::prelude::*;

/// Cases by `PROPTEST_CASES`, else few enough to be run with every change.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 48 };
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_models_agree(numbers in prop::collection::vec(proptest::num::u16::ANY, 500..1500)) {
        prop_assume!(run(&numbers, &mut Tally::new()));
    }
}

/// Answers that the scripts must reach.
const ANSWERS: [(&str, &str); 14] = [
    ("Move", "ok unauthorized rank_too_low bad_state gate_closed enclave_paused enclave_terminated"),
    ("Grant", "ok unauthorized rank_too_low bad_state"),
    ("Revoke", "ok unauthorized rank_too_low bad_state"),
    ("Transfer", "ok unauthorized rank_too_low bad_state"),
    ("Gate", "ok unauthorized not_found bad_state"),
    ("AC_Bundle", "ok unauthorized rank_too_low bad_state not_found"),
    ("Shared", "ok unauthorized not_found"),
    ("Own", "ok unauthorized not_found"),
    ("app", "ok unauthorized gate_closed"),
    ("Update", "ok unauthorized not_found"),
    ("Delete", "ok unauthorized not_found"),
    ("Pause", "ok unauthorized enclave_paused"),
    ("Resume", "ok unauthorized bad_state"),
    ("Terminate", "ok unauthorized"),
];

/// The same with numbers that are the same each time, until every kind of answer has been seen.
#[test]
fn the_scripts_reach_every_answer() {
    let mut tally = Tally::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut runs, mut valid) = (0, 0);
    let missing = |tally: &Tally| {
        let all = ANSWERS.iter().flat_map(|(event_type, codes)| codes.split(' ').map(move |code| (*event_type, code)));
        all.filter(|(event_type, code)| !tally.contains_key(&((*event_type).to_owned(), (*code).to_owned())))
            .collect::<Vec<_>>()
    };
    while runs < 400 && !(runs >= 30 && missing(&tally).is_empty()) {
        let numbers: Vec<u16> = (0..1500)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as u16
            })
            .collect();
        valid += u32::from(run(&numbers, &mut tally));
        runs += 1;
    }
    assert!(missing(&tally).is_empty(), "never seen: {:?}", missing(&tally));
    assert!(valid * 10 >= runs * 9, "only {valid} of {runs} manifests were valid");
}
