//! Protobuf messages, written field by field.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
/// A length of a message is written into this many bytes that are left for it: 28 bits, more than any answer has. Where
/// it is shorter, it is written in the longer form, which protobuf allows.
const LENGTH_BYTES: usize = 4;

/// A message under construction.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn bytes_count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    /// An `int64` or an enum.
    pub(super) fn number(&mut self, field: u32, number: i64) {
        self.tag(field, VARINT);
        self.varint(number.cast_unsigned());
    }

    /// A `sint32`.
    pub(super) fn signed(&mut self, field: u32, number: i32) {
        let number = i64::from(number);
        self.number(field, number << 1 ^ number >> 63);
    }

    /// A `double`, bit by bit: a staleness marker stays one.
    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub(super) fn message<T>(&mut self, field: u32, write: impl FnOnce(&mut Message) -> T) -> T {
        self.tag(field, BYTES);
        let start = self.0.len();
        self.0.extend_from_slice(&[0; LENGTH_BYTES]);
        let written = write(self);
        let length = self.0.len() - start - LENGTH_BYTES;
        assert!(length < 1 << (7 * LENGTH_BYTES), "{length} bytes in one message: the bound on samples is too high");
        for (index, byte) in self.0[start..start + LENGTH_BYTES].iter_mut().enumerate() {
            let more = if index + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (length >> (7 * index) & 0x7f) as u8 | more;
        }
        written
    }

    /// A message behind its length, as they stand one behind the other in a stream.
    pub(super) fn delimited(&mut self, message: &[u8]) {
        self.varint(message.len() as u64);
        self.0.extend_from_slice(message);
    }

    /// A packed list of `double`; nothing of an empty one.
    pub(super) fn doubles(&mut self, field: u32, values: &[f64]) {
        if !values.is_empty() {
            self.tag(field, BYTES);
            self.varint(values.len() as u64 * 8);
            values.iter().for_each(|value| self.0.extend_from_slice(&value.to_bits().to_le_bytes()));
        }
    }
}
