//! All tests of the services over a Runtime, in one binary.

mod vectors;
mod world;
