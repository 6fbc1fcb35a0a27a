//! The first event of an enclave: its Manifest.

use crate::gates::aliases;
use crate::head::Head;
use crate::operation;
use crate::pipeline::{ends_bundle, grown};
use crate::rights::is_owner;
use crate::transition::{Transition, Write, WriteValue};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use merkle::Hash;
use merkle::log::EMPTY_ROOT;
use merkle::sparse::{StateKey, StatePath};
use protocol::code::Detail;
use protocol::event::{NO_PREV, Position};
use protocol::state::{Bitmask, GATE_OPEN, Lifecycle, StateName};
use protocol::{Code, Manifest, PublicKey, Rejection, VerifiedCommit};

/// An id that `init-with-priv` has given a key before its Manifest came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// Only this key's Manifest is taken; anyone's where there is none.
    pub owner: Option<PublicKey>,
}

/// This node's keys, as a Manifest meets them.
#[derive(Clone, Copy)]
pub struct NodeKeys<'a> {
    /// The key that this node holds for the enclave; on replay, the one that signed the event.
    pub sequencer: &'a PublicKey,
    /// Whether a key is one of this node's sequencer keys; on replay, whether it is `sequencer`.
    pub is_node_key: &'a dyn Fn(&PublicKey) -> bool,
}

/// An enclave that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Its rules.
    pub manifest: Manifest,
    /// Its first event.
    pub transition: Transition,
}

/// Steps 7 to 10 for a commit to an id that does not exist here. Of several faults it answers the first of: a provisioned id's owner, a
/// node's key as author, `enclave`, the manifest's own rules, `sequencer`.
///
/// # Errors
/// `enclave_not_found` for what is no Manifest or not the owner's, `unauthorized`, `invalid_manifest` with a path.
pub fn genesis(
    commit: &VerifiedCommit,
    provisioned: Option<&Provisioned>,
    keys: &NodeKeys<'_>,
    t: u64,
) -> Result<Genesis, Rejection> {
    let said = commit.commit();
    let admitted = provisioned.and_then(|id| id.owner).is_none_or(|owner| owner == said.from);
    if said.event_type != "Manifest" || !admitted {
        return Err(Code::EnclaveNotFound.into());
    }
    if (keys.is_node_key)(&said.from) {
        return Err(Code::Unauthorized.into());
    }
    let bound = commit.derived_enclave() == said.enclave;
    if !bound && provisioned.is_none() {
        return Err(invalid("enclave"));
    }
    let manifest = Manifest::parse_for(&operation::content(said)?, &said.from)?;
    if manifest.sequencer != *keys.sequencer {
        return Err(invalid("sequencer"));
    }
    let (writes, owners) = first_state(&manifest)?;
    let position = Position { seq: 0, type_seq: 0, timestamp: t, prev: NO_PREV, sequencer: manifest.sequencer };
    let event_hash = position.event_hash(&said.hash, &said.sig);
    let open = grown(None, &position);
    let head = Head {
        enclave: said.enclave,
        bound,
        sequencer: manifest.sequencer,
        live: true,
        next_seq: 1,
        last_timestamp: t,
        prev: event_hash,
        lifecycle: Lifecycle::Active,
        migrated_to: None,
        owners,
        tree_size: 0,
        root: EMPTY_ROOT,
        open: Some(open),
    };
    let close = ends_bundle(&open, manifest.bundle, head.lifecycle);
    let (refers, retention) = (None, Vec::new());
    Ok(Genesis { manifest, transition: Transition { position, event_hash, writes, head, close, refers, retention } })
}

fn invalid(path: &str) -> Rejection {
    Rejection::with(Code::InvalidManifest, Detail::Path(path.into()))
}

/// `init` and the gates that start open; and how many owners there are.
fn first_state(manifest: &Manifest) -> Result<(Vec<Write>, u64), Rejection> {
    let mut values = BTreeMap::new();
    let mut owners = 0;
    for row in &manifest.rbac.init {
        let mut mask = Bitmask::default();
        mask.set_state(row.state);
        for held in &row.traits {
            mask.set(*held, true);
        }
        owners += u64::from(is_owner(manifest, &mask));
        if let Some(value) = mask.value() {
            put(&mut values, StateName::Identity(&row.identity).key(), value)?;
        }
    }
    for (alias, gate) in aliases(manifest) {
        if gate.is_some_and(|gate| gate.open) {
            put(&mut values, StateName::Gate(alias).key(), GATE_OPEN)?;
        }
    }
    Ok((values.into_values().collect(), owners))
}

/// Two raw keys of one 21-byte key cannot both be written.
fn put(values: &mut BTreeMap<StatePath, Write>, key: StateKey, value: Hash) -> Result<(), Rejection> {
    match values.insert(key.path, Write { key, value: WriteValue::Set(value) }) {
        Some(other) if other.key != key => Err(Code::BadState.into()),
        Some(_) | None => Ok(()),
    }
}
