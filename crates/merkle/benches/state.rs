//! The price of one write, and of one proof, in a state tree of a million keys in memory.
//!
//! `cargo bench -p merkle`; a first argument changes the number of keys.

#[path = "../tests/stores/pages.rs"]
mod pages;

use std::hint::black_box;
use std::time::Instant;

use merkle::sparse::{StateKey, prove, verify};
use pages::MemoryPages;

const ROUNDS: u32 = 20_000;

fn key(at: u32) -> StateKey {
    StateKey::new(2, &at.to_be_bytes())
}

fn measure(name: &str, mut once: impl FnMut(u32)) {
    let start = Instant::now();
    (0..ROUNDS).for_each(&mut once);
    println!("{name}: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

fn main() {
    let count: u32 = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut tree = MemoryPages::default();
    let batch: Vec<_> = (0..count).map(|at| (key(at), Some([1; 32]))).collect();
    let start = Instant::now();
    for some in batch.chunks(10_000) {
        tree.apply(some).expect("an empty store takes any keys");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{count} keys in batches of 10000: {:.1} us a key, {} pages",
        seconds * 1e6 / f64::from(count),
        tree.rows.len()
    );
    // A stride that is prime to any count below it visits the keys in no order.
    let any = |round: u32| key((u64::from(round) * 1_000_003 % u64::from(count)) as u32);
    measure("change one key", |round| {
        black_box(tree.apply(&[(any(round), Some([round as u8 ^ 0x80; 32]))]).expect("the key is there"));
    });
    measure("insert one key", |round| {
        black_box(tree.apply(&[(key(count + round), Some([1; 32]))]).expect("the key is free"));
    });
    measure("remove one key", |round| {
        black_box(tree.apply(&[(key(count + round), None)]).expect("the key is there"));
    });
    let root = merkle::sparse::root(&tree).expect("pages are there");
    measure("prove one key", |round| {
        black_box(prove(&tree, &any(round)).expect("pages are there"));
    });
    let proof = prove(&tree, &any(7)).expect("pages are there");
    measure("verify one proof", |_| black_box(verify(&proof, &proof.key, &root)).expect("it is true"));
}
