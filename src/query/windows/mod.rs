//! Ranges: `rate(shop_orders_total[1m])`, `max_over_time(shop_load[1h:5m])`.
//!
//! `window.rs` decodes one series, or evaluates a subquery, and moves a window over its samples; `rollup.rs` makes a
//! value of each window: of counters (`counter.rs`), of any numbers (`over_time.rs`), of neighbours (`pairs.rs`), of
//! native histograms (`histogram_rate.rs`), of both in one window (`mixed.rs`), and with the samples at a window's ends
//! made up (`edges.rs`: `anchored` and `smoothed`).

mod counter;
mod edges;
mod histogram_rate;
mod mixed;
mod over_time;
mod pairs;
mod rollup;
mod window;

pub(super) use edges::{instants, points};
pub(super) use rollup::{check_edges, rollup};
pub(super) use window::{Samples, Windows, subquery_grid};

#[cfg(test)]
mod tests;
