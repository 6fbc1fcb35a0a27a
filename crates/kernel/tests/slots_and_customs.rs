//! slots_and_customs
