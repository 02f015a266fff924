//! `dozor check rules` and `dozor test rules`: rule files are looked at and tried out, without a server.
//!
//! ```text
//! $ dozor check rules shop.yml
//! Checking shop.yml
//!   SUCCESS: 12 rules found
//! $ dozor test rules shop_test.yml
//! Unit Testing:  shop_test.yml
//!   SUCCESS
//! ```
//!
//! Both say what `promtool` says of the same files, with the same exit codes; faults are told with line and caret, and
//! rules with an `anomaly` block are known too: in a unit test they are fed with the input series, in event time.
//!
//! Always true: the same files give the same verdict, whenever and wherever they are tried.

mod check;
mod compare;
mod junit;
mod laboratory;
mod run;
mod test;
mod test_file;
#[cfg(test)]
mod tests;

pub use check::{CheckArgs, check};
pub use test::{TestArgs, test};
