//! Input as a script: numbers and bytes in the order in which a property wants them. No RFC.

use arbitrary::Unstructured;

/// What is left of an input. At its end everything is zero or empty.
pub struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    /// All of it.
    pub fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// The kind of the next step; nothing at the end.
    pub fn step(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.byte())
    }

    /// A number of one byte.
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number of two bytes, the first one the higher.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below 2^62, a QUIC variable-length integer (RFC 9000 §16): edges are a byte or two away.
    pub fn integer(&mut self) -> u64 {
        let first = self.byte();
        let more = (1_u32 << (first >> 6)) - 1;
        (0..more).fold(u64::from(first & 0x3f), |value, _| {
            value << 8 | u64::from(self.byte())
        })
    }

    /// Some bytes, with their number before them.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }

    /// Some bytes, with their number before them as [`Self::short`].
    pub fn long_bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.short());
        self.take(len)
    }

    /// The rest.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        self.0.bytes(len.min(self.0.len())).unwrap_or_default()
    }
}
