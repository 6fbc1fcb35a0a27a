//! What the black-box tests share: people who sign, hosts that answer, and what is seen of them from outside.

pub mod crash;
pub mod encd;
pub mod endpoint;
pub mod inside;
pub mod liar;
pub mod people;
pub mod socket;
pub mod tables;
pub mod tape;
pub mod wire;
pub mod workerd;
