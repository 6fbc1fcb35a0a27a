//! What holds of any input: round trips, agreement of two implementations, and that nothing from outside can panic.

mod bytes;
mod json;
mod sessions;
mod signatures;
