//! The judge judged: green on our node, red on servers that understand nothing, and red on each of many defects.

mod defects;
mod emptiness;
mod green;
mod lies;
mod listed;
mod scene;
