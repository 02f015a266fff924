#![doc = include_str!("../../spec/calendar.md")]

/// The kind of all records: a JSON text.
pub const KIND_TEXT: u8 = 1;
