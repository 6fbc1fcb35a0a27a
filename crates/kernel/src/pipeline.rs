//! Steps 2 and 5 to 11 of the pipeline (`docs/protocol.md`, The commit pipeline).

use crate::draft::Draft;
use crate::head::{Head, OpenBundle};
use crate::operation::{self, Kind, Part, RoleKind, RoleOrder};
use crate::refusal::{Fault, Refusal, split};
use crate::transition::{Refers, Transition};
use crate::view::View;
use crate::{customs, gates, grants, lifecycle, migrate, moves, slots, transfers};
use alloc::boxed::Box;
use alloc::vec::Vec;
use protocol::code::Detail;
use protocol::commit::{CLOCK_SKEW_MS, MAX_EXP_AHEAD_MS};
use protocol::event::Position;
use protocol::manifest::BundlePolicy;
use protocol::state::Lifecycle;
use protocol::{Code, Commit, Json, Manifest, PublicKey, Rejection, VerifiedCommit};

/// The only type that a sequencer key may author from outside: a node's entry in a registry.
const NODE_TYPE: &str = "Reg_Node";

/// An enclave as its next event finds it.
#[derive(Clone, Copy)]
pub struct Enclave<'a> {
    /// Its rules.
    pub manifest: &'a Manifest,
    /// Where it stands; a bundle that is due at the time of judgement is closed in it.
    pub head: &'a Head,
    /// Whether a key is one of this node's sequencer keys; on replay, one of the enclave's own chain of sequencers.
    pub is_node_key: &'a dyn Fn(&PublicKey) -> bool,
}

/// The time `t` of a commit, in milliseconds: `now`, but never before the last event. Read once, used for expiry and timestamp alike.
///
/// # Errors
/// `clock_behind` when the last event lies more than 60 s ahead of `now`.
pub fn clock(head: Option<&Head>, now: u64) -> Result<u64, Rejection> {
    let last = head.map_or(0, |head| head.last_timestamp);
    if last > now.saturating_add(CLOCK_SKEW_MS) {
        return Err(Rejection::with(Code::ClockBehind, Detail::Time(now)));
    }
    Ok(now.max(last))
}

/// Step 2: `t − 60 s ≤ exp ≤ t + 3600 s`.
///
/// # Errors
/// `expired` or `exp_too_far`, with `t`.
pub fn expiry(t: u64, exp: u64) -> Result<(), Rejection> {
    if exp.saturating_add(CLOCK_SKEW_MS) < t {
        Err(Rejection::with(Code::Expired, Detail::Time(t)))
    } else if exp > t.saturating_add(MAX_EXP_AHEAD_MS) {
        Err(Rejection::with(Code::ExpTooFar, Detail::Time(t)))
    } else {
        Ok(())
    }
}

/// Steps 5 to 10 for a commit of an enclave that exists. `t` comes from [`clock`], [`expiry`] has passed, and a bundle that is due at `t`
/// is closed.
///
/// # Errors
/// The outer error is the view's; the inner one the refusal, by the codes of the pipeline.
pub fn sequence<V: View>(
    enclave: &Enclave<'_>,
    view: &V,
    commit: &VerifiedCommit,
    t: u64,
) -> Result<Result<Transition, Rejection>, V::Error> {
    split(judged(enclave, view, commit, t))
}

/// Steps 5 to 10 for a `Recovered`, which only the node itself makes and replay meets again: by the sequencer, without tags, `exp` = `t` + 60 s,
/// naming the last `seq`.
///
/// # Errors
/// As [`sequence`]; `unauthorized` for another author or type, `invalid_structure` for another shape, `bad_state` for another `prev_seq`.
pub fn recovered<V: View>(
    enclave: &Enclave<'_>,
    view: &V,
    commit: &VerifiedCommit,
    t: u64,
) -> Result<Result<Transition, Rejection>, V::Error> {
    split(judged_recovered(enclave, view, commit, t))
}

fn judged<V: View>(
    enclave: &Enclave<'_>,
    view: &V,
    verified: &VerifiedCommit,
    t: u64,
) -> Result<Transition, Fault<V::Error>> {
    let (head, commit) = (enclave.head, verified.commit());
    let kind = Kind::of(&commit.event_type);
    refuse_stored(view, commit)?;
    lifecycle::admit(head, kind)?;
    if (enclave.is_node_key)(&commit.from) && commit.event_type != NODE_TYPE {
        return Err(Refusal::Unauthorized.into());
    }
    let mut draft = Draft::new(enclave.manifest, head, view)?;
    let author = &commit.from;
    match kind {
        Kind::Manifest => return Err(second_manifest(head, verified).into()),
        Kind::Recovered => return Err(Refusal::Unauthorized.into()),
        Kind::Role(kind) => role(&mut draft, author, kind, operation::content(commit)?)?,
        Kind::AcBundle => bundle(&mut draft, author, operation::parts(operation::content(commit)?)?)?,
        Kind::Slot(kind) => slots::judge(&mut draft, author, kind, &operation::slot(operation::content(commit)?)?)?,
        Kind::Refer(kind) => {
            customs::refer(&mut draft, author, Refers { event: operation::reference(&commit.tags)?, kind })?;
        }
        Kind::Lifecycle(event) => {
            operation::nothing(operation::content(commit)?)?;
            lifecycle::judge(&mut draft, author, event)?;
        }
        Kind::Migrate => {
            let order = operation::migrate(operation::content(commit)?)?;
            migrate::judge(&mut draft, head, author, &order)?;
        }
        Kind::Custom => customs::create(&draft, author, &commit.event_type)?,
    }
    finalize(enclave, draft, commit, t)
}

fn judged_recovered<V: View>(
    enclave: &Enclave<'_>,
    view: &V,
    verified: &VerifiedCommit,
    t: u64,
) -> Result<Transition, Fault<V::Error>> {
    let (head, commit) = (enclave.head, verified.commit());
    let kind = Kind::of(&commit.event_type);
    refuse_stored(view, commit)?;
    lifecycle::admit(head, kind)?;
    if kind != Kind::Recovered || commit.from != head.sequencer {
        return Err(Refusal::Unauthorized.into());
    }
    let prev_seq = operation::recovered(operation::content(commit)?)?;
    if !commit.tags.is_empty() || commit.exp != t.saturating_add(CLOCK_SKEW_MS) {
        return Err(Code::InvalidStructure.into());
    }
    if prev_seq != head.last_seq() {
        return Err(Refusal::BadState.into());
    }
    finalize(enclave, Draft::new(enclave.manifest, head, view)?, commit, t)
}

/// Step 5. The receipt is for the author: one who only knows the hash, and signs it anew, does not get it.
fn refuse_stored<V: View>(view: &V, commit: &Commit) -> Result<(), Fault<V::Error>> {
    match view.stored(&commit.hash).map_err(Fault::View)? {
        None => Ok(()),
        Some(receipt) if receipt.sig == commit.sig => {
            Err(Rejection::with(Code::Duplicate, Detail::Receipt(Box::new(receipt))).into())
        }
        Some(_) => Err(Code::Duplicate.into()),
    }
}

/// A Manifest for an enclave that exists.
fn second_manifest(head: &Head, commit: &VerifiedCommit) -> Rejection {
    if head.bound && commit.derived_enclave() != head.enclave {
        return Rejection::with(Code::InvalidManifest, Detail::Path("enclave".into()));
    }
    Code::EnclaveExists.into()
}

fn role<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    kind: RoleKind,
    content: Json,
) -> Result<(), Fault<V::Error>> {
    match kind.read(content)? {
        RoleOrder::Move(order) => moves::judge(draft, author, &order),
        RoleOrder::Grant(kind, order) => grants::judge(draft, author, kind, &order),
        RoleOrder::Transfer(order) => transfers::judge(draft, author, &order),
        RoleOrder::Gate { alias, open } => gates::judge(draft, author, &alias, open),
    }
}

/// All parts or none, each on what the ones before it have left.
fn bundle<V: View>(draft: &mut Draft<'_, V>, author: &PublicKey, parts: Vec<Part>) -> Result<(), Fault<V::Error>> {
    for (index, part) in (0..).zip(parts) {
        role(draft, author, part.kind, part.content)
            .map_err(|fault| fault.map_refusal(|refused| Rejection::with(refused.code, Detail::Index(index))))?;
    }
    Ok(())
}

/// Steps 9 to 11.
fn finalize<V: View>(
    enclave: &Enclave<'_>,
    draft: Draft<'_, V>,
    commit: &Commit,
    t: u64,
) -> Result<Transition, Fault<V::Error>> {
    let head = enclave.head;
    let type_seq = draft.state.view().type_count(&commit.event_type).map_err(Fault::View)?;
    let position = Position { seq: head.next_seq, type_seq, timestamp: t, prev: head.prev, sequencer: head.sequencer };
    let event_hash = position.event_hash(&commit.hash, &commit.sig);
    let open = grown(head.open, &position);
    let close = ends_bundle(&open, enclave.manifest.bundle, draft.lifecycle);
    let head = Head {
        next_seq: head.next_seq + 1,
        last_timestamp: t,
        prev: event_hash,
        lifecycle: draft.lifecycle,
        migrated_to: draft.migrated_to,
        owners: draft.owners,
        open: Some(open),
        ..head.clone()
    };
    let Draft { state, refers, retention, .. } = draft;
    Ok(Transition { position, event_hash, writes: state.into_writes(), head, close, refers, retention })
}

/// The open bundle with one more event.
pub(crate) fn grown(open: Option<OpenBundle>, position: &Position) -> OpenBundle {
    match open {
        Some(open) => OpenBundle { count: open.count + 1, ..open },
        None => OpenBundle { first_seq: position.seq, first_timestamp: position.timestamp, count: 1 },
    }
}

/// Full, or this sequencer's last event.
pub(crate) fn ends_bundle(open: &OpenBundle, policy: BundlePolicy, lifecycle: Lifecycle) -> bool {
    match lifecycle {
        Lifecycle::Terminated | Lifecycle::Migrated => true,
        Lifecycle::Active | Lifecycle::Paused => open.count >= u64::from(policy.size),
    }
}
