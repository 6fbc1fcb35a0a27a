//! All tests of the services over a Runtime, in one binary.

mod pushing;
mod querying;
mod resolving;
mod sql;
mod structure;
mod vectors;
mod world;
