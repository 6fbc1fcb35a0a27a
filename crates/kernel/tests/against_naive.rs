//! against_naive
