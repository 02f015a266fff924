//! Functions of values and labels: `clamp_max(…)`, `histogram_quantile(0.99, …)`, `label_replace(…)`.
//!
//! `call.rs` names them all, and is where to begin; what is longer than a line stands beside it. Functions of ranges are
//! [`super::windows`]'.

mod buckets;
mod calendar;
mod call;
mod elementary;
mod histogram;
mod histogram_functions;
mod info;
mod labelling;

pub(super) use buckets::Repair;
pub use buckets::bucket_quantile;
pub(super) use call::{absent_over_time, call, of_scalar};

#[cfg(test)]
mod tests;
