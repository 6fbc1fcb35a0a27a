//! What the black-box tests share: people who sign, hosts that answer.

pub mod people;
pub mod workerd;
