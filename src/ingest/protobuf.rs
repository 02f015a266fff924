//! The protobuf wire format from the writer's side: what `wire` reads.
//!
//! ```
//! use dozor::ingest::{append_bytes, append_number};
//! let mut message = Vec::new();
//! append_bytes(&mut message, 1, b"up");
//! append_number(&mut message, 2, 300);
//! assert_eq!(message, b"\x0a\x02up\x10\xac\x02");
//! ```
//!
//! Always true: a field's number is below 16, as all are in the messages that are written here, so that its tag is a byte.

/// Appends a number as a varint: seven bits a byte, low ones first.
#[inline]
pub fn append_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes that a number takes as a varint.
pub fn varint_bytes(number: u64) -> usize {
    number.max(1).ilog2() as usize / 7 + 1
}

/// Appends a field that is a number, of the types `int32`, `int64`, `uint32`, `uint64`, `bool` and enums. A negative one
/// is written as the `u64` of the same 64 bits.
pub fn append_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3);
    append_varint(out, number);
}

/// Appends a field of 64 bits, of the types `double` and `fixed64`.
pub fn append_fixed64(out: &mut Vec<u8>, field: u8, bits: u64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&bits.to_le_bytes());
}

/// Appends a field of bytes: a text, a message, a packed list.
pub fn append_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    append_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends what stands in front of the bytes of such a field.
#[inline]
pub fn append_head(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(field << 3 | 2);
    append_varint(out, length as u64);
}

/// Bytes that such a field takes.
pub fn field_bytes(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}
