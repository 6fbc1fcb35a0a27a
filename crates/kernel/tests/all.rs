//! All tests of the kernel in one binary.

mod against_naive;
mod attacks;
mod bundles;
mod lifecycle;
mod naive;
mod pipeline;
mod reading;
mod roles;
mod scripts;
mod slots_and_customs;
mod vectors;
mod world;
