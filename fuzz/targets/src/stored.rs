//! What a node reads back from its own rows: pages of the state tree and the record of an enclave.

use crate::Input;
use merkle::sparse::{Page, PageId};
use protocol::EnclaveId;
use service::record::Record;

/// A place of the tree, its length first, and the bytes of a page.
pub fn page(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let len = usize::from(input.byte() % 42);
    let packed = [&[len as u8][..], &input.bytes(len.div_ceil(2))].concat();
    let Ok(id) = PageId::decode(&packed) else { return };
    assert_eq!(id.encode(), packed);
    let row = input.rest();
    if let Ok(page) = Page::decode(&id, row) {
        assert_eq!(page.encode(), row, "a page has one form");
        assert_eq!(Page::decode(&id, &page.encode()).map(|page| page.hash()), Ok(page.hash()));
    }
}

/// Bytes as a record.
pub fn record(bytes: &[u8]) {
    let enclave = EnclaveId([7; 32]);
    if let Some(record) = Record::decode(enclave, bytes) {
        assert_eq!(record.encode(), bytes, "a record has one form");
    }
}
