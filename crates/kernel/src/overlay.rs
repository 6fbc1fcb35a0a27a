//! Writes that are not stored yet, over a view: the running state on which each part of an AC_Bundle is judged.

use crate::refusal::{Fault, Refusal};
use crate::transition::{Write, WriteValue};
use crate::view::{Slot, View};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use merkle::sparse::StatePath;
use protocol::state::StateName;

/// A view and the writes drafted so far.
pub(crate) struct Overlay<'a, V> {
    view: &'a V,
    drafts: BTreeMap<StatePath, Write>,
}

impl<'a, V: View> Overlay<'a, V> {
    pub(crate) fn new(view: &'a V) -> Self {
        Overlay { view, drafts: BTreeMap::new() }
    }

    /// The view below; it knows nothing of the drafts.
    pub(crate) fn view(&self) -> &'a V {
        self.view
    }

    /// What stands under a name after the drafted writes. The id of this event is no value yet, and nothing reads it.
    pub(crate) fn slot(&self, name: &StateName<'_>) -> Result<Slot, Fault<V::Error>> {
        if !self.drafts.is_empty() {
            let key = name.key();
            if let Some(draft) = self.drafts.get(&key.path) {
                return Ok(match draft.value {
                    _ if draft.key != key => Slot::Taken,
                    WriteValue::Set(value) => Slot::Value(value),
                    WriteValue::Remove | WriteValue::ThisEvent => Slot::Absent,
                });
            }
        }
        self.view.slot(name).map_err(Fault::View)
    }

    /// Drafts a write; `bad_state` where the 21-byte key belongs to another raw key.
    pub(crate) fn write(&mut self, name: &StateName<'_>, value: WriteValue) -> Result<(), Fault<V::Error>> {
        if self.slot(name)? == Slot::Taken {
            return Err(Refusal::BadState.into());
        }
        let key = name.key();
        self.drafts.insert(key.path, Write { key, value });
        Ok(())
    }

    /// All drafted writes, in rising order of the paths.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        self.drafts.into_values().collect()
    }
}
