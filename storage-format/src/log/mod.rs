#![doc = include_str!("../../spec/log.md")]

mod samples;
mod series;
#[cfg(test)]
mod tests;

pub use samples::{ROW_BYTES_MAX, SamplesEncoder, decode_samples};
pub use series::{SeriesDefinition, SeriesDefinitions, append_series, decode_series};

/// Kind of a record that gives series their references.
pub const KIND_SERIES: u8 = 1;
/// Kind of a record that holds samples.
pub const KIND_SAMPLES: u8 = 2;
