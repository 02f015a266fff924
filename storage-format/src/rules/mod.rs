#![doc = include_str!("../../spec/rules.md")]

/// The kind of all records: a JSON text.
pub const KIND_TEXT: u8 = 1;
