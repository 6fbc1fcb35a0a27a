//! enc
fn main() {}
