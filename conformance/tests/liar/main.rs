//! A node that lies, or a path that does: whatever is changed in an answer is noticed, by the check that the answer belongs to in a
//! workflow, and byte by byte by the SDK.

mod bytes;
mod workflows;
