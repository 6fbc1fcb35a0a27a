//! The table of all checks, by group.

mod commits;
mod expiry;
mod lifecycle;
mod lines;
mod log;
mod manifests;
mod node_info;
mod operator;
mod push;
mod reading;
mod receipts;
mod restores;
mod roles;
mod routes;
mod sessions;
mod sockets;
mod state;
mod strictness;
mod tiles;
mod transport;

use super::{Check, Verdict, check};

/// Every check; a group is a file of `checks/`.
pub const CHECKS: &[&[Check]] = &[
    node_info::CHECKS,
    routes::CHECKS,
    strictness::CHECKS,
    commits::CHECKS,
    expiry::CHECKS,
    receipts::CHECKS,
    lifecycle::CHECKS,
    roles::CHECKS,
    state::CHECKS,
    log::CHECKS,
    sessions::CHECKS,
    reading::CHECKS,
    sockets::CHECKS,
    lines::CHECKS,
    manifests::CHECKS,
    tiles::CHECKS,
    transport::CHECKS,
    push::CHECKS,
    operator::CHECKS,
    restores::CHECKS,
];

/// The checks that are meant by these names, groups or sections; all of them where there is none.
///
/// # Errors
/// A name that means no check.
pub fn select(only: &[String]) -> Result<Vec<&'static Check>, String> {
    let all = || CHECKS.iter().flat_map(|group| group.iter());
    if let Some(unknown) = only.iter().find(|wanted| !all().any(|check| check.is_meant_by(wanted))) {
        return Err(unknown.clone());
    }
    Ok(all().filter(|check| only.is_empty() || only.iter().any(|wanted| check.is_meant_by(wanted))).collect())
}
