//! Two sides into one: `errors / requests`, `up == 0`, `a and on (node) b`.
//!
//! `binary.rs` is what there is to do with numbers, vectors and both; `elements.rs` what an operator makes of two values,
//! native histograms among them; `matching.rs` which rows of two vectors belong together, worked out once from their
//! labels, and `fill.rs` what stands in for a row that has none; `sets.rs` is `and`, `or` and `unless`.

mod binary;
mod elements;
mod fill;
mod matching;
mod sets;

pub(super) use binary::binary;

#[cfg(test)]
mod tests;
