//! What a node keeps of an enclave beside its rows: one small record, replaced by each event.

use alloc::vec::Vec;
use kernel::head::{Head, OpenBundle};
use merkle::Hash;
use protocol::state::Lifecycle;
use protocol::{EnclaveId, EventHash, PublicKey, Signature};

/// The record of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the next event depends on.
    pub head: Head,
    /// Root of the state tree after the last event.
    pub state_root: Hash,
    /// Identities that have a leaf.
    pub identities: u64,
    /// Own and Shared slots that have a leaf.
    pub keys: u64,
    /// Push endpoints that are delivered to.
    pub endpoints: u64,
    /// Time of the newest STH.
    pub sth_timestamp: u64,
    /// Its signature.
    pub sth_signature: Signature,
    /// Public half of the log key; none when the node never held the sequencer's key.
    pub log_key: Option<[u8; 32]>,
}

/// First byte of the encoding.
const VERSION: u8 = 1;

impl Record {
    /// Fixed-width fields in order, optional ones behind a byte that is 0 or 1.
    pub fn encode(&self) -> Vec<u8> {
        let head = &self.head;
        let mut out = Vec::with_capacity(420);
        out.push(VERSION);
        out.push(u8::from(head.bound) | u8::from(head.live) << 1);
        out.push(head.lifecycle.value().map_or(0, |value| value[31]));
        out.extend_from_slice(&head.sequencer.0);
        for number in [head.next_seq, head.last_timestamp, head.owners, head.tree_size] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&head.prev.0);
        out.extend_from_slice(&head.root);
        push_optional(&mut out, head.migrated_to.as_ref().map(|key| &key.0[..]));
        let open = head.open.map(|open| {
            [open.first_seq.to_be_bytes(), open.first_timestamp.to_be_bytes(), open.count.to_be_bytes()].concat()
        });
        push_optional(&mut out, open.as_deref());
        out.extend_from_slice(&self.state_root);
        for number in [self.identities, self.keys, self.endpoints, self.sth_timestamp] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.sth_signature.0);
        push_optional(&mut out, self.log_key.as_ref().map(|key| &key[..]));
        out
    }

    /// Reads what [`Record::encode`] wrote.
    pub fn decode(enclave: EnclaveId, bytes: &[u8]) -> Option<Record> {
        let mut input = Input(bytes);
        let [version, flags, lifecycle] = input.take()?;
        if version != VERSION || flags > 3 {
            return None;
        }
        let mut value = [0; 32];
        value[31] = lifecycle;
        let lifecycle = Lifecycle::from_value((lifecycle != 0).then_some(&value))?;
        let sequencer = PublicKey(input.take()?);
        let [next_seq, last_timestamp, owners, tree_size] = input.numbers()?;
        let prev = EventHash(input.take()?);
        let root = input.take()?;
        let migrated_to = input.optional(|input| input.take().map(PublicKey))?;
        let open = input.optional(|input| {
            let [first_seq, first_timestamp, count] = input.numbers()?;
            Some(OpenBundle { first_seq, first_timestamp, count })
        })?;
        let head = Head {
            enclave,
            bound: flags & 1 != 0,
            live: flags & 2 != 0,
            sequencer,
            next_seq,
            last_timestamp,
            prev,
            lifecycle,
            migrated_to,
            owners,
            tree_size,
            root,
            open,
        };
        let state_root = input.take()?;
        let [identities, keys, endpoints, sth_timestamp] = input.numbers()?;
        let sth_signature = Signature(input.take()?);
        let log_key = input.optional(Input::take)?;
        let record = Record { head, state_root, identities, keys, endpoints, sth_timestamp, sth_signature, log_key };
        input.0.is_empty().then_some(record)
    }
}

fn push_optional(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.unwrap_or_default());
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = u64::from_be_bytes(self.take()?);
        }
        Some(numbers)
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.take()? {
            [0] => Some(None),
            [1] => read(self).map(Some),
            _ => None,
        }
    }
}
