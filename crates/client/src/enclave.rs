//! A handle on one enclave at one node, for one identity or none.

use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::identity::Identity;
use crate::node::Node;
use crate::pin::{Pin, Trust};
use crate::store::Store;
use protocol::fields::Fields;
use protocol::session::Session;
use protocol::{EnclaveId, Event, Json, PublicKey, Receipt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An enclave that is pinned: nothing that its node says is returned before it was checked against the pin.
pub struct Enclave {
    pub(crate) node: Node,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) identity: Option<Identity>,
    pub(crate) sealed: bool,
    pub(crate) session: Mutex<Option<HeldSession>>,
    id: EnclaveId,
    pin: Mutex<Pin>,
}

/// A session and the sequencer key that it was made for.
pub(crate) struct HeldSession {
    pub sequencer: PublicKey,
    pub session: Session,
}

/// `info/enclave`: the node's word, but for what the pin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveInfo {
    /// The key that sequences now.
    pub sequencer: PublicKey,
    /// Verifier key of the log's checkpoints, once there is one.
    pub log_vkey: Option<String>,
    /// Whether the id is the Manifest's own.
    pub bound: bool,
    /// Whether this node sequences it.
    pub live: bool,
    /// `active`, `paused`, `terminated` or `migrated`.
    pub status: String,
    /// Closed bundles.
    pub tree_size: u64,
    /// What only readers are told.
    pub inside: Option<EnclaveInside>,
}

/// The part of `info/enclave` for those who may read something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveInside {
    /// The last event's place.
    pub last_seq: u64,
    /// Events in no closed bundle yet.
    pub open_events: u64,
    /// Gates by alias.
    pub gates: Vec<(String, bool)>,
    /// Events by type.
    pub counts: Vec<(String, u64)>,
}

impl Enclave {
    /// Opens an enclave whose id is its Manifest's own. The first visit asks for the Manifest, verifies it and keeps it.
    ///
    /// # Errors
    /// [`Error::Unbound`] for another id; [`Error::False`]; what the store and the network say.
    pub fn open(
        node: &Node,
        id: EnclaveId,
        identity: Option<Identity>,
        store: Arc<dyn Store>,
    ) -> Result<Enclave, Error> {
        let pin = match store.pin(&id)? {
            Some(pin) => pin,
            None => keep_new_pin(store.as_ref(), ask_manifest(node, id, None)?.0)?,
        };
        Ok(Enclave::of(node, pin, identity, store))
    }

    /// Opens an enclave of any id on the word of somebody trusted, who named its Manifest and its sequencer.
    ///
    /// # Errors
    /// [`Error::False`] if the Manifest is another one; what the store and the network say.
    pub fn open_trusted(
        node: &Node,
        id: EnclaveId,
        trust: &Trust,
        holder: (Option<Identity>, Arc<dyn Store>),
    ) -> Result<Enclave, Error> {
        let (identity, store) = holder;
        let pin = match store.pin(&id)? {
            Some(pin) if pin.event().hash == trust.manifest && pin.manifest().sequencer == trust.sequencer => pin,
            Some(_) => return Err(Falsehood::OtherManifest.into()),
            None => keep_new_pin(store.as_ref(), ask_manifest(node, id, Some(trust))?.0)?,
        };
        Ok(Enclave::of(node, pin, identity, store))
    }

    pub(crate) fn of(node: &Node, pin: Pin, identity: Option<Identity>, store: Arc<dyn Store>) -> Enclave {
        let (id, node) = (pin.enclave(), node.clone());
        Enclave { node, store, identity, sealed: false, session: Mutex::new(None), id, pin: Mutex::new(pin) }
    }

    /// The same enclave, whose requests go sealed to the sequencer's key from here on. Commits, Queries, Pulls and proofs are hidden
    /// from the path, not from the node.
    pub fn sealed(mut self, sealed: bool) -> Enclave {
        self.sealed = sealed;
        self
    }

    /// The same enclave for another identity.
    pub fn for_identity(&self, identity: Option<Identity>) -> Enclave {
        let pin = self.pin();
        Enclave::of(&self.node, pin, identity, Arc::clone(&self.store)).sealed(self.sealed)
    }

    /// Its id.
    pub fn id(&self) -> EnclaveId {
        self.id
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The identity's public key.
    pub fn me(&self) -> Option<PublicKey> {
        self.identity.as_ref().map(Identity::public)
    }

    /// What is pinned.
    pub fn pin(&self) -> Pin {
        self.lock_pin().clone()
    }

    /// The key that sequences now, by the chain of Migrates that was verified.
    pub fn sequencer(&self) -> PublicKey {
        self.lock_pin().sequencers().newest()
    }

    /// Asks for the Manifest again and checks that it is the pinned one.
    ///
    /// # Errors
    /// [`Error::False`] if it is another one; what the network says.
    pub fn manifest_again(&self) -> Result<ServedManifest, Error> {
        let pin = self.pin();
        let kept = pin.event();
        let trust = Trust { manifest: kept.hash, sequencer: kept.position.sequencer };
        let (again, sequencer) = ask_manifest(&self.node, self.id, Some(&trust))?;
        // Two Manifest events of one commit differ in what the sequencer signed: it has said two things of seq 0.
        if again.event() != kept {
            return Err(Falsehood::OtherManifest.into());
        }
        Ok(ServedManifest { event: kept.clone(), sequencer })
    }

    /// Asks for the status.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`], what the network says.
    pub fn info(&self) -> Result<EnclaveInfo, Error> {
        let headers = self.session_headers()?;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let value = self.node.link.get(&self.path("info/enclave"), &headers)?.json(Answer::Enclave)?;
        let (id, info) = parse_info(value).map_err(|_| Falsehood::Shape(Answer::Enclave))?;
        if id != self.id {
            return Err(Falsehood::OtherEnclave(id).into());
        }
        if info.bound != self.lock_pin().bound() {
            return Err(Falsehood::Shape(Answer::Enclave).into());
        }
        Ok(info)
    }

    pub(crate) fn path(&self, action: &str) -> String {
        format!("/enclaves/{}/{action}", self.id)
    }

    pub(crate) fn lock_pin(&self) -> MutexGuard<'_, Pin> {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a Migrate, which is verified at its place.
    pub(crate) fn follow(&self, migrate: &Event) -> Result<(), Error> {
        let mut pin = self.lock_pin();
        if pin.follow(migrate)? {
            self.store.keep_pin(&pin)?;
        }
        Ok(())
    }

    /// Makes sure that a key which signed for this place is the enclave's sequencer there; Migrates not known yet are asked for.
    pub(crate) fn check_sequencer(&self, seq: u64, found: PublicKey) -> Result<(), Error> {
        if self.lock_pin().sequencers().at(seq) == found {
            return Ok(());
        }
        self.learn_migrates()?;
        if self.lock_pin().sequencers().at(seq) == found {
            return Ok(());
        }
        Err(Falsehood::OtherSequencer { seq, found }.into())
    }

    /// Reads all Migrates that may be read, each signed by the sequencer that the one before names.
    pub(crate) fn learn_migrates(&self) -> Result<(), Error> {
        let page = self.ask_page(&Filter::of_type("Migrate"))?;
        page.events.iter().try_for_each(|migrate| self.follow(migrate))
    }
}

/// `info/manifest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedManifest {
    /// The Manifest, verified.
    pub event: Event,
    /// The key that sequences now, by the node's word.
    pub sequencer: PublicKey,
}

/// An enclave that was made here.
pub struct Created {
    /// The handle.
    pub enclave: Enclave,
    /// The Manifest's receipt.
    pub receipt: Receipt,
}

fn keep_new_pin(store: &dyn Store, pin: Pin) -> Result<Pin, Error> {
    store.keep_pin(&pin)?;
    Ok(pin)
}

/// Asks for the Manifest and verifies it. The answer's `bound` must be what the id says; its `sequencer` is the node's word.
pub(crate) fn ask_manifest(node: &Node, id: EnclaveId, trust: Option<&Trust>) -> Result<(Pin, PublicKey), Error> {
    let shape = || Falsehood::Shape(Answer::Manifest);
    let value = node.link.get(&format!("/enclaves/{id}/info/manifest"), &[])?.json(Answer::Manifest)?;
    let mut fields = Fields::of(value).map_err(|_| shape())?;
    let enclave = EnclaveId(fields.hex("enclave").map_err(|_| shape())?);
    let sequencer = PublicKey(fields.hex("sequencer").map_err(|_| shape())?);
    let bound = fields.required("bound").map_err(|_| shape())?;
    let event = fields.required("manifest").and_then(Event::from_json).map_err(|_| shape())?;
    fields.finish().map_err(|_| shape())?;
    if enclave != id {
        return Err(Falsehood::OtherEnclave(enclave).into());
    }
    let pin = Pin::of_manifest(id, event, trust)?;
    if bound != Json::Bool(pin.bound()) || !protocol::schnorr::is_point(&sequencer) {
        return Err(shape().into());
    }
    Ok((pin, sequencer))
}

fn parse_info(value: Json) -> Result<(EnclaveId, EnclaveInfo), protocol::Rejection> {
    let mut fields = Fields::of(value)?;
    let id = EnclaveId(fields.hex("enclave")?);
    let flag = |value: Json| match value {
        Json::Bool(flag) => Ok(flag),
        _ => Err(protocol::fields::wrong("info")),
    };
    let text = |value: Json| match value {
        Json::Text(text) => Ok(text),
        _ => Err(protocol::fields::wrong("log_vkey")),
    };
    let inside = match fields.optional("last_seq") {
        None => None,
        Some(last_seq) => Some(EnclaveInside {
            last_seq: last_seq.as_uint().ok_or(protocol::fields::wrong("last_seq"))?,
            open_events: fields.uint("open_events")?,
            gates: members(fields.required("gates")?)?
                .into_iter()
                .map(|(alias, open)| Ok((alias, flag(open)?)))
                .collect::<Result<_, protocol::Rejection>>()?,
            counts: members(fields.required("counts")?)?
                .into_iter()
                .map(|(name, count)| Ok((name, count.as_uint().ok_or(protocol::fields::wrong("counts"))?)))
                .collect::<Result<_, protocol::Rejection>>()?,
        }),
    };
    let info = EnclaveInfo {
        sequencer: PublicKey(fields.hex("sequencer")?),
        log_vkey: fields.optional("log_vkey").map(text).transpose()?,
        bound: flag(fields.required("bound")?)?,
        live: flag(fields.required("live")?)?,
        status: fields.text("status")?,
        tree_size: fields.uint("tree_size")?,
        inside,
    };
    fields.finish()?;
    Ok((id, info))
}

fn members(value: Json) -> Result<Vec<(String, Json)>, protocol::Rejection> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(protocol::fields::wrong("info")),
    }
}
