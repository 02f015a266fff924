#![doc = include_str!("../spec/detector.md")]

/// Number of the layout that is written.
pub const LAYOUT: u32 = 6;
/// The one before, which is read too: no group in its first days knows how often it alerted.
pub const LAYOUT_WITHOUT_RESTLESS: u32 = 5;
/// The one before that, which is read too: no value without a season knows what comes every day, and a routine has a
/// quarter of an hour of its own that goes on.
pub const LAYOUT_WITHOUT_DAILY: u32 = 4;
/// Likewise: no season knows what is so every week, no level how often it is far away.
pub const LAYOUT_WITHOUT_HABIT: u32 = 3;
/// The first that is read: no season knows of another clock either.
pub const LAYOUT_WITHOUT_SHIFT: u32 = 2;
/// Kind of the summary and of the groups.
pub const RECORD_KIND: u8 = 2;
/// Kind of the record that says how late the samples of each job come.
pub const LATENESS_KIND: u8 = 3;
/// Kind of records that are JSON texts, as they once were.
pub const TEXT_KIND: u8 = 1;
