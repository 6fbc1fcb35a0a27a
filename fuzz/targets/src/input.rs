//! Bytes taken from the front, zeros when they are used up; so a shorter input is a simpler case.

use arbitrary::Unstructured;

pub(crate) struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(Unstructured::new(bytes))
    }

    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        self.0.fill_buffer(&mut taken).expect("missing bytes are zeros");
        taken
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    pub(crate) fn below(&mut self, sides: usize) -> usize {
        usize::from(u16::from_be_bytes(self.take())) % sides.max(1)
    }

    /// At most so many.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let len = len.min(self.0.len());
        self.0.bytes(len).expect("as many are left").to_vec()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::replace(&mut self.0, Unstructured::new(&[])).take_rest()
    }
}
