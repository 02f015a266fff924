//! Text in, answer out: PromQL as Prometheus 3 evaluates it.
//!
//! ```text
//! "sum by (region) (rate(shop_orders_total[1m]))"
//!        │ syntax     text → tree, types checked; too long, too deep, too large a pattern: refused, with line and column
//!        │ lower.rs   the tree → a plan, durations and moments worked out for this question's time frame
//!        ▼
//! Plan::Aggregate ─ Plan::Rollup ─ Range [__name__="shop_orders_total"], 60 s
//!        │ eval.rs    from the outside in: each part asks the next for a table
//!        ▼
//! rows: region="eu" node="1", region="eu" node="2", region="us" node="1"         labels: known at once
//!        │ windows    decode one series, move a window over its samples           values: one row at a time
//!        │            a rate for each step, into a column
//!        │ aggregations  add the column to the accumulators of its group
//!        ▼
//! Answer: {region="eu"} and {region="us"}, a value for each step
//! ```
//!
//! A range query is never evaluated step by step: each series is decoded once and goes through all operators as a
//! column over all steps. An instant query is a range query of one step. Series are computed by all threads and put
//! together in the order of their labels, so that the same question on the same data gives the same bits.
//!
//! Worked example:
//!
//! ```
//! use dozor::clock::Clock;
//! use dozor::model::{Labels, Sample};
//! use dozor::query::{Engine, Limits, Options, Value};
//! use dozor::storage::view::ReadView;
//!
//! let orders = |node: &str, rise: f64| {
//!     let labels = Labels::from_pairs([("__name__", "shop_orders_total"), ("node", node)]).unwrap();
//!     let samples = (0..9).map(|scrape| Sample { timestamp_ms: scrape * 15_000, value: scrape as f64 * rise });
//!     (labels, samples.collect())
//! };
//! let view = ReadView::of_samples(vec![orders("1", 15.0), orders("2", 30.0)]);
//! let engine = Engine::new(Limits::default(), Clock::system());
//! let answer = engine.instant(&view, "sum(increase(shop_orders_total[1m]))", 120_000, &Options::default()).unwrap();
//! let Value::Vector(series) = answer.value else { panic!("a vector") };
//! // 1 order a second on one node, 2 on the other.
//! assert_eq!(series[0].2.number(), Some(180.0));
//! ```
//!
//! Always true:
//! 1. Nothing a stranger writes recurses deeper than [`Limits::depth_max`], and no pattern is compiled without a bound.
//! 2. Every loop over samples looks at the clock and at the client within a few thousand turns.
//! 3. What is held in memory was counted against [`Limits::samples_max`] before it was allocated.
//!
//! Where the rest is: `windows`, `operators`, `aggregations` and `functions` are what plans are made of; `leaf.rs` instant
//! selectors; `repeated` what is evaluated once for several places; `table.rs` and `column.rs` what all of them pass on;
//! `notation.rs` reads series as unit tests write them; `remarks.rs` and `notes.rs` what is said of the data; `budget.rs` what a query may use; `cache` answers that cannot
//! change any more, and plans; `syntax` the language itself, text to tree and back, with the places and words of its
//! errors.

mod aggregations;
mod budget;
mod cache;
mod column;
mod engine;
mod error;
mod eval;
mod float;
mod functions;
mod leaf;
mod lower;
mod notation;
mod notes;
mod operators;
mod plan;
mod remarks;
mod repeated;
mod syntax;
mod table;
mod text;
mod usage;
mod windows;

pub use budget::{Cancelled, Limits};
pub use cache::{CacheFigures, PlanFigures};
pub use engine::{Answer, Engine, Options, Sampled, Series, Value, parse_matchers, plan};
pub use error::QueryError;
pub use functions::bucket_quantile;
pub use notation::{NotationError, VALUES_COUNT_MAX, WrittenValue, parse_number, parse_series, parse_values};
pub use plan::Plan;
pub(crate) use plan::{Function, Group, Grouping, Matching, Node, Range, RangeInput, Rollup, Selector, Shift};
pub(crate) use syntax::{Aggregator, Edges, Operator, quote};
pub use text::{format, function_names, measured, narrowed, operator_names, parse_tree, printed};
pub use usage::{Usage, Used};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
