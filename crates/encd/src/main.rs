//! `encd`: see `encd --help`.

fn main() {}
