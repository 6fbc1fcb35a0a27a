//! Snapshot and restore: all of a log is taken in or nothing; the node and the client judge it alike; what was taken in is given out
//! again as the same bytes.

use crate::Input;
use crate::enclave::{Sample, rehearse, snapshot};
use crate::parts::Parts;
use client::audit::audit_snapshot;
use protocol::EnclaveId;
use protocol::snapshot::{MAGIC, Snapshot};
use service::Call;
use service::call::{Action, Claim, Restore, TakeUp};

/// How far ahead of the log the node's clock is.
const LATER_MS: u64 = 86_400_000;

/// A file as it stands, or what is to be changed in a log that holds.
pub fn run(bytes: &[u8]) {
    rehearse(|sample| {
        let file = if bytes.starts_with(MAGIC) { bytes.to_vec() } else { altered(sample, &mut Input::new(bytes)) };
        forget(sample);
        let now = sample.node.now.get();
        sample.node.now.set(now + LATER_MS);
        restored(sample, &file);
        sample.node.now.set(now);
    });
}

/// The enclave's own rows are taken away, so that the node does not hold it.
fn forget(sample: &Sample) {
    for table in sample.node.dump().keys() {
        sample.node.db.execute_batch(&format!("DELETE FROM {table}")).expect("a table of the schema");
    }
    sample.node.forget_all();
}

fn restored(sample: &Sample, file: &[u8]) {
    let node = &sample.node;
    let enclave = Snapshot::read(file).map_or(EnclaveId([7; 32]), |read| read.manifest.enclave);
    let before = node.dump();
    let restore = Restore { snapshot: file.to_vec(), manifest: None, sequencer: None, first: TakeUp::No };
    let told = node.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) });
    let audited = audit_snapshot(file, None);
    assert_eq!(told.code().is_none(), audited.is_ok(), "{} but {audited:?}", told.word());
    if told.status == 200 {
        assert_eq!(snapshot(node, &enclave), file, "a log that was taken in is another");
    } else {
        assert_eq!(node.dump(), before, "a refused log left something behind");
    }
}

fn altered(sample: &Sample, input: &mut Input) -> Vec<u8> {
    let mut parts = Parts::of(&sample.file);
    let flags = input.byte();
    for _ in 0..input.below(5) {
        parts.alter(input);
    }
    if flags & 1 != 0 {
        parts.link_again();
    }
    if flags & 2 != 0 {
        parts.head_again();
    }
    let mut file = parts.file();
    if flags & 4 != 0 {
        let place = usize::from(u16::from_be_bytes(input.take())) % file.len();
        file[place] ^= 1 << (input.byte() & 7);
    }
    if flags & 8 != 0 {
        file.truncate(input.below(file.len()));
    }
    file
}
