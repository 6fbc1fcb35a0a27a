//! encd
fn main() {}
