//! A fixed set of seeds, and what makes a seed worth printing.

use sim::disk;
use sim::draw::Draw;
use sim::interleaved::alike;
use sim::run::{STEPS, run};

/// All is well in these worlds, and enough happens in them.
#[test]
fn seeds_are_green() {
    let (mut events, mut crashes) = (0, 0);
    for seed in 0..8 {
        let seen = run(seed, STEPS, false).result;
        let seen = seen.unwrap_or_else(|broken| {
            panic!("seed {seed}: {broken}; replay: cargo run -p sim -- --seed {seed} --trace")
        });
        (events, crashes) = (events + seen.events, crashes + seen.crashes);
    }
    assert!(events > 200 && crashes > 40, "{events} events, {crashes} crashes");
}

/// A seed replays: all that happens in it happens again.
#[test]
fn a_seed_replays() {
    let [first, again] = [(); 2].map(|()| run(11, STEPS, true));
    assert_eq!(first.story, again.story);
    assert_eq!(first.result, again.result);
    assert_ne!(first.result, run(12, STEPS, false).result, "another seed is another world");
}

#[test]
fn together_and_alone_give_the_same_bytes() {
    for seed in 100..103 {
        alike(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
    // Nothing of it is left for the next world of this thread.
    disk::format(Draw::new(0));
}
