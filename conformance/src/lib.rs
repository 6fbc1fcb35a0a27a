//! What the black-box tests share: people who sign, hosts that answer, and what is seen of them from outside.

pub mod crash;
pub mod encd;
pub mod endpoint;
pub mod equivocator;
pub mod golang;
pub mod hall;
pub mod impostor;
pub mod inside;
pub mod judge;
pub mod launch;
pub mod liar;
pub mod people;
pub mod socket;
pub mod strace;
pub mod tables;
pub mod tape;
pub mod told;
pub mod wire;
pub mod witness;
pub mod workerd;
