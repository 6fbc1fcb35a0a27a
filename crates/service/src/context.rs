//! What a running request has at hand, and the two steps that most requests share: seeing due bundles closed, and knowing who asks.

use crate::cache::{Cache, State};
use crate::call::Claim;
use crate::checkpoint;
use crate::rows::{self, set_node_state};
use crate::runtime::{Fault, NodeFacts, Runtime, Value};
use crate::tree::{Log, Running, StoredBundle};
use crate::view::{self, Rows};
use crate::warm::Warm;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::bundle;
use kernel::reading::{Reader, Retained};
use kernel::view::View;
use protocol::head::{Sth, checkpoint_message, sth_message};
use protocol::manifest::StateNumber;
use protocol::state::{Bitmask, Lifecycle, StateName};
use protocol::{Code, EnclaveId, PublicKey, Rejection, session};

/// An STH that is asked for is signed again when it is older than this, in milliseconds.
pub const STH_AGE_MS: u64 = 60_000;

/// What a running request has at hand.
pub struct Context<'a> {
    /// The host.
    pub rt: &'a dyn Runtime,
    /// The node.
    pub facts: &'a NodeFacts,
    /// The time of the request, read once.
    pub now: u64,
    /// What is remembered of the rows of the enclave that a commit is for, while it is judged.
    pub warm: RefCell<Option<(EnclaveId, Warm)>>,
}

/// A refusal that is an answer, or a fault that is none.
#[derive(Debug)]
pub enum Stop {
    /// Answered with an error.
    Refused(Rejection),
    /// Not answered: the work is rolled back.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Stop::Refused(rejection)
    }
}

impl From<Code> for Stop {
    fn from(code: Code) -> Self {
        Stop::Refused(code.into())
    }
}

/// Who asks, as far as it is proven.
pub struct Asker {
    /// The identity, with its bitmask; none without a session.
    pub identity: Option<(PublicKey, Bitmask)>,
    /// What it kept when it left.
    pub retained: Vec<Retained>,
}

impl Asker {
    /// What it may read.
    pub fn reader<'a>(&'a self, state: &'a State) -> Reader<'a> {
        Reader::new(&state.manifest, self.identity.map(|(_, mask)| mask), &self.retained)
    }
}

impl<'a> Context<'a> {
    /// At the time of the host's clock.
    pub fn new(rt: &'a dyn Runtime, facts: &'a NodeFacts) -> Context<'a> {
        Context { rt, facts, now: rt.now(), warm: RefCell::new(None) }
    }
}

impl Context<'_> {
    /// The enclave's rows.
    pub fn rows<'b>(&'b self, enclave: &'b EnclaveId) -> Rows<'b> {
        Rows { rt: self.rt, enclave, warm: Some(&self.warm) }
    }

    /// The enclave's state tree.
    pub fn tree<'b>(&'b self, enclave: &'b EnclaveId) -> Running<'b> {
        Running { rt: self.rt, enclave, warm: Some(&self.warm) }
    }

    /// The enclave with a bundle that is due closed; `enclave_not_found` where there is none.
    pub fn enclave(&self, cache: &mut Cache, enclave: Option<&EnclaveId>) -> Result<State, Stop> {
        let enclave = enclave.ok_or(Code::InvalidStructure)?;
        let mut state = cache.load(self.rt, enclave)?.ok_or(Code::EnclaveNotFound)?;
        if self.settle(&mut state, self.now)? {
            cache.keep(*enclave, state.clone());
        }
        Ok(state)
    }

    /// Closes the bundle that is due at `t`, as of when it was due.
    pub fn settle(&self, state: &mut State, t: u64) -> Result<bool, Fault> {
        match state.record.head.due(state.manifest.bundle) {
            Some(due) if due <= t && state.record.head.live => {
                self.close(state, due)?;
                self.store(&state.record)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Closes the open bundle: a log entry, an STH, a checkpoint. The caller stores the record.
    pub fn close(&self, state: &mut State, at: u64) -> Result<(), Fault> {
        let record = &mut state.record;
        let open = record.head.open.ok_or(Fault::Storage)?;
        let enclave = record.head.enclave;
        let ids = view::ids(self.rt, &enclave, open.first_seq, open.count)?;
        if ids.len() as u64 != open.count {
            return Err(Fault::Storage);
        }
        let index = record.head.tree_size;
        let last_event_hash = record.head.prev.0;
        let closing = bundle::close(&mut record.head, &ids, &record.state_root, at, record.sth_timestamp);
        let bundle = StoredBundle { index, entry: closing.entry, state_hash: record.state_root, last_event_hash };
        record.head.root = Log { rt: self.rt, enclave: &enclave }.append(&bundle)?;
        record.head.tree_size = index + 1;
        self.sign_head(state, closing.timestamp)?;
        self.sign_checkpoint(state)
    }

    /// Signs the tree as it is, at a time.
    pub fn sign_head(&self, state: &mut State, timestamp: u64) -> Result<(), Fault> {
        let head = &state.record.head;
        let message = sth_message(&head.enclave, timestamp, head.tree_size, &head.root);
        let signature = self.rt.host_sign_seq(&head.sequencer, &head.enclave, &message)?;
        (state.record.sth_timestamp, state.record.sth_signature) = (timestamp, signature);
        Ok(())
    }

    /// Makes the checkpoint of the tree as it is: once for each size.
    pub fn sign_checkpoint(&self, state: &mut State) -> Result<(), Fault> {
        let head = &state.record.head;
        let text = checkpoint::text(&head.enclave, head.tree_size, head.root)?;
        let first = self.rt.host_sign_seq(&head.sequencer, &head.enclave, &checkpoint_message(&text))?;
        let (log_key, second) = self.rt.host_sign_log(&head.sequencer, &head.enclave, &text)?;
        let note = checkpoint::note(&text, &head.enclave, (&head.sequencer, &first), (&log_key, &second))?;
        set_node_state(self.rt, &head.enclave, "checkpoint", note.as_bytes())?;
        state.record.log_key = Some(log_key);
        Ok(())
    }

    /// The newest STH; one that is too old is signed again first.
    pub fn sth(&self, cache: &mut Cache, state: &mut State) -> Result<Sth, Fault> {
        let head = &state.record.head;
        let old = self.now > state.record.sth_timestamp.saturating_add(STH_AGE_MS);
        if old && head.live && head.lifecycle != Lifecycle::Migrated {
            self.sign_head(state, self.now)?;
            self.store(&state.record)?;
            cache.keep(state.record.head.enclave, state.clone());
        }
        let head = &state.record.head;
        Ok(Sth {
            enclave: head.enclave,
            timestamp: state.record.sth_timestamp,
            tree_size: head.tree_size,
            root_hash: head.root,
            sequencer: head.sequencer,
            signature: state.record.sth_signature,
        })
    }

    /// Stores the record.
    pub fn store(&self, record: &crate::record::Record) -> Result<(), Fault> {
        set_node_state(self.rt, &record.head.enclave, "record", &record.encode())
    }

    /// Who asks, by session or envelope.
    pub fn asker(&self, state: &State, claim: &Claim) -> Result<Asker, Stop> {
        let from = match claim {
            Claim::Stranger | Claim::Admin => return Ok(Asker { identity: None, retained: Vec::new() }),
            Claim::Envelope { from } => *from,
            Claim::Session { from, token } => {
                session::verify_plain(token, from, &state.record.head.sequencer, self.now)?;
                *from
            }
        };
        self.identity(state, from).map_err(Stop::from)
    }

    /// An identity as the enclave knows it at present.
    pub fn identity(&self, state: &State, from: PublicKey) -> Result<Asker, Fault> {
        const SQL: &str = "SELECT rule, state, seq FROM left_rules WHERE enclave = ?1 AND identity = ?2";
        let enclave = &state.record.head.enclave;
        let slot = self.rows(enclave).slot(&StateName::Identity(&from))?;
        let params = [Value::Blob(&enclave.0), Value::Blob(&from.0)];
        let retained = rows::all(self.rt, SQL, &params, |row| {
            Ok(Retained {
                rule: usize::try_from(rows::uint(row, 0)?).map_err(|_| Fault::Storage)?,
                state: StateNumber(u8::try_from(rows::uint(row, 1)?).map_err(|_| Fault::Storage)?),
                seq: rows::uint(row, 2)?,
            })
        })?;
        Ok(Asker { identity: Some((from, Bitmask::from_value(slot.value()))), retained })
    }

    /// Plain requests are refused where the node wants them sealed.
    pub fn require_envelope(&self, claim: &Claim) -> Result<(), Rejection> {
        match claim {
            Claim::Envelope { .. } | Claim::Admin => Ok(()),
            Claim::Stranger | Claim::Session { .. } if self.facts.require_encryption => Err(Code::Unauthorized.into()),
            Claim::Stranger | Claim::Session { .. } => Ok(()),
        }
    }

    /// The operator, or a holder of `owner` (State `OWNER` where no such trait is declared).
    pub fn owner(&self, state: &State, claim: &Claim) -> Result<(), Stop> {
        if *claim == Claim::Admin {
            return Ok(());
        }
        let asker = self.asker(state, claim)?;
        match asker.identity {
            Some((_, mask)) if kernel::rights::is_owner(&state.manifest, &mask) => Ok(()),
            _ => Err(Code::Unauthorized.into()),
        }
    }

    /// The endpoint rows of an enclave that wait: asks to be woken.
    pub fn wake_at(&self, enclave: &EnclaveId, at: u64) {
        self.rt.set_alarm(enclave, at);
    }
}
