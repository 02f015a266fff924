#![doc = include_str!("../spec/detector.md")]

/// Number of the layout that is written, and the only one that is read.
pub const LAYOUT: u32 = 2;
/// Kind of all records.
pub const RECORD_KIND: u8 = 2;
/// Kind of records that are JSON texts, as they once were.
pub const TEXT_KIND: u8 = 1;
