//! All tests of the services over a Runtime, in one binary.

mod resolving;
mod structure;
mod vectors;
mod world;
