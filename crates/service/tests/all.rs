//! All tests of the services over a Runtime, in one binary.

mod attacks;
mod handling;
mod oracle;
mod property;
mod pushing;
mod querying;
mod resolving;
mod restoring;
mod sql;
mod structure;
mod subscribing;
mod tailing;
mod vectors;
mod world;
