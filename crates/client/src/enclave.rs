//! A handle on one enclave at one node, for one identity or none.

use crate::error::{Answer, Error, Falsehood};
use crate::identity::Identity;
use crate::node::Node;
use crate::pin::{Pin, Trust};
use crate::place::{HeldSession, Place};
use crate::store::Store;
use protocol::fields::Fields;
use protocol::{EnclaveId, Event, Json, PublicKey, Receipt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An enclave that is pinned: nothing that its node says is returned before it was checked against the pin.
pub struct Enclave {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) identity: Option<Identity>,
    pub(crate) sealed: bool,
    pub(crate) session: Mutex<Option<HeldSession>>,
    pub(crate) following: bool,
    id: EnclaveId,
    pin: Mutex<Pin>,
    /// The node that the caller named.
    origin: Node,
    place: Mutex<Place>,
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
        Enclave::of(node, pin, identity, store).where_it_went()
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
        Enclave::of(node, pin, identity, store).where_it_went()
    }

    pub(crate) fn of(node: &Node, pin: Pin, identity: Option<Identity>, store: Arc<dyn Store>) -> Enclave {
        let (id, origin) = (pin.enclave(), node.clone());
        let place = Mutex::new(Place::of(node.clone()));
        let (pin, session) = (Mutex::new(pin), Mutex::new(None));
        Enclave { store, identity, sealed: false, session, following: true, id, pin, origin, place }
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
        let other = Enclave::of(&self.origin, pin, identity, Arc::clone(&self.store));
        *other.lock_place() = self.lock_place().clone();
        Enclave { following: self.following, ..other.sealed(self.sealed) }
    }

    /// The same enclave, which stays with the node that it was opened at. Else it goes on by itself at the node that a verified Migrate names, once
    /// the one at hand has handed it over.
    pub fn staying(mut self) -> Enclave {
        self.following = false;
        if self.node().url() != self.origin.url() {
            *self.lock_place() = Place::of(self.origin.clone());
        }
        self
    }

    /// Its id.
    pub fn id(&self) -> EnclaveId {
        self.id
    }

    /// The node that is asked: the one it was opened at, until the enclave moves.
    pub fn node(&self) -> Node {
        self.lock_place().node.clone()
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
        let (again, sequencer) = ask_manifest(&self.node(), self.id, Some(&trust))?;
        // Two Manifest events of one commit differ in what the sequencer signed: it has said two things of seq 0.
        if again.event() != kept {
            return Err(Falsehood::OtherManifest.into());
        }
        Ok(ServedManifest { event: kept.clone(), sequencer })
    }

    pub(crate) fn path(&self, action: &str) -> String {
        format!("/enclaves/{}/{action}", self.id)
    }

    pub(crate) fn lock_place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_pin(&self) -> MutexGuard<'_, Pin> {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner)
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
