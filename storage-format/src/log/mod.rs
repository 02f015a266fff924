#![doc = include_str!("../../spec/log.md")]

mod deletion;
mod histograms;
mod rows;
mod samples;
mod series;
#[cfg(test)]
mod tests;

pub use deletion::{Deletion, append_deletion, decode_deletion};
pub use histograms::{append_histograms, decode_histograms};
pub use rows::decode_rows;
pub use samples::{SAMPLE_BYTES_MAX, append_samples, decode_samples};
pub use series::{SeriesDefinition, SeriesDefinitions, append_series, decode_series};

/// Kind of a record that gives series their references.
pub const KIND_SERIES: u8 = 1;
/// Kind of a record of samples as version 1 wrote them.
pub const KIND_ROWS: u8 = 2;
/// Kind of a record that holds samples.
pub const KIND_SAMPLES: u8 = 3;
/// Kind of a record that holds samples whose time was in a block already when they came.
pub const KIND_BELATED: u8 = 4;
/// Kind of a record that deletes samples of the records before it.
pub const KIND_DELETION: u8 = 5;
/// Kind of a record that holds native histograms.
pub const KIND_HISTOGRAMS: u8 = 6;
