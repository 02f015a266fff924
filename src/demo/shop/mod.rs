//! A shop that does not exist: a fleet of nodes whose metrics look like a real shop's, the same on every run.
//!
//! Each node serves one region and has [`SERIES_PER_NODE`] series under thirty names: requests by route and status,
//! orders, payments by provider and outcome, a latency histogram, and what node and process exporters say.
//!
//! ```
//! use dozor::demo::{Fault, Shop, ShopOptions};
//! let mut shop = Shop::new(ShopOptions { node_count: 2, ..ShopOptions::default() }).unwrap();
//! shop.begin_fault(Fault::PaymentTimeout { region: "eu".to_owned() }, 1_700_000_600_000);
//! let values = shop.scrape(0, 1_700_000_000_000);
//! let orders = shop.series_index("shop_orders_total").unwrap();
//! assert!(shop.labels(0, orders).to_string().starts_with("shop_orders_total{"));
//! assert!(values[orders] > 0.0);
//! ```
//!
//! Always true:
//! 1. The same options, faults and scrape times give the same values, on whichever thread and in whichever part of the
//!    fleet a node is: each node has its own generator.
//! 2. Counters never fall, but for those of the shop's process when it restarts; `process_start_time_seconds` then rises.
//! 3. What belongs together agrees: every checkout is either an order or an error, and is in one bucket of the histogram.

mod catalog;
mod node;
mod noise;

use crate::demo::remote_write::encode_labels;
use crate::model::Labels;

use catalog::SERIES;
use node::{Node, Trouble};

/// Series of one node.
pub const SERIES_PER_NODE: usize = SERIES.len();
/// Largest fleet.
pub const NODES_COUNT_MAX: usize = 100_000;

const HOUR_MS: i64 = 3_600_000;

/// Which fleet to simulate.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// Nodes in this part of the fleet, 1 to [`NODES_COUNT_MAX`].
    pub node_count: usize,
    /// Index of the first of them: a fleet is split over connections by giving each a range.
    pub node_first: usize,
    /// What all chance comes from.
    pub seed: u64,
    /// Regions by name; node `n` serves region `n` modulo their number.
    pub regions: Vec<String>,
    /// Time between two scrapes of a node, in ms.
    pub scrape_interval_ms: i64,
    /// Mean time between two restarts of a node's shop process, in ms.
    pub restart_interval_ms: i64,
}

impl Default for ShopOptions {
    fn default() -> ShopOptions {
        ShopOptions {
            node_count: 12,
            node_first: 0,
            seed: 1,
            regions: ["eu", "us", "apac"].map(str::to_owned).to_vec(),
            scrape_interval_ms: 15_000,
            restart_interval_ms: 7 * 24 * HOUR_MS,
        }
    }
}

/// What can go wrong in the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The payment provider answers late or never in one region: three of four orders are lost, checkout takes seconds.
    PaymentTimeout {
        /// The region's name.
        region: String,
    },
}

/// Why a fleet cannot be simulated. Whoever chose the options must choose others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShopError {
    /// No nodes, or too many.
    #[error("a fleet has 1 to {NODES_COUNT_MAX} nodes, not {0}")]
    NodeCount(usize),
    /// No region to put a node in.
    #[error("a fleet needs at least one region")]
    NoRegion,
    /// A span of time that must be positive.
    #[error("the {0} must be at least one millisecond")]
    Interval(&'static str),
}

/// The fleet, or one part of it. Shape: `node_count` nodes × [`SERIES_PER_NODE`] series.
#[derive(Debug)]
pub struct Shop {
    options: ShopOptions,
    nodes: Vec<Node>,
    label_bytes: Vec<LabelBytes>,
    troubles: Vec<Trouble>,
}

/// The encoded labels of one node's series, one behind the other.
#[derive(Debug)]
struct LabelBytes {
    bytes: Vec<u8>,
    ends: [u32; SERIES_PER_NODE],
}

impl Shop {
    /// Sets up the fleet; no time has passed in it before the first scrape.
    pub fn new(options: ShopOptions) -> Result<Shop, ShopError> {
        if options.node_count == 0 || options.node_count.saturating_add(options.node_first) > NODES_COUNT_MAX {
            return Err(ShopError::NodeCount(options.node_count.saturating_add(options.node_first)));
        }
        if options.regions.is_empty() {
            return Err(ShopError::NoRegion);
        }
        for (interval_ms, name) in
            [(options.scrape_interval_ms, "scrape interval"), (options.restart_interval_ms, "restart interval")]
        {
            if interval_ms < 1 {
                return Err(ShopError::Interval(name));
            }
        }
        let fleet = options.node_first..options.node_first + options.node_count;
        let nodes = fleet.map(|index| Node::new(index, &options)).collect::<Vec<Node>>();
        let label_bytes = nodes.iter().map(LabelBytes::of).collect();
        Ok(Shop { options, nodes, label_bytes, troubles: Vec::new() })
    }

    /// Nodes in this part of the fleet.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Series of all nodes together.
    pub fn series_count(&self) -> usize {
        self.nodes.len() * SERIES_PER_NODE
    }

    /// Time between two scrapes of a node, in ms.
    pub fn scrape_interval_ms(&self) -> i64 {
        self.options.scrape_interval_ms
    }

    /// Where in [`Shop::scrape`]'s answer the first series of this metric is.
    pub fn series_index(&self, metric_name: &str) -> Option<usize> {
        SERIES.iter().position(|series| series.name == metric_name)
    }

    /// The label set of one series. `node` counts from 0 within this part of the fleet.
    pub fn labels(&self, node: usize, series: usize) -> Labels {
        Labels::from_pairs(self.nodes[node].label_pairs(series)).expect("the catalog's labels are unique and short")
    }

    /// The same label set as remote write sends it (see [`encode_labels`]), encoded once when the fleet was set up.
    pub fn label_bytes(&self, node: usize, series: usize) -> &[u8] {
        self.label_bytes[node].of_series(series)
    }

    /// Lets time pass for one node and reads all its series, in the order of [`Shop::labels`].
    /// A time that is not after the last scrape of that node reads again what that scrape read, as far as it does not
    /// depend on the time itself.
    pub fn scrape(&mut self, node: usize, timestamp_ms: i64) -> [f64; SERIES_PER_NODE] {
        self.nodes[node].advance(timestamp_ms, &self.troubles);
        self.nodes[node].read()
    }

    /// Breaks the shop from `at_ms` on, in event time.
    pub fn begin_fault(&mut self, fault: Fault, at_ms: i64) {
        self.troubles.push(Trouble { fault, from_ms: at_ms, until_ms: i64::MAX });
    }

    /// Repairs the fault that was begun last with these words, at `at_ms` in event time.
    pub fn end_fault(&mut self, fault: &Fault, at_ms: i64) {
        if let Some(trouble) = self.troubles.iter_mut().rev().find(|trouble| trouble.fault == *fault) {
            trouble.until_ms = at_ms;
        }
    }
}

impl LabelBytes {
    fn of(node: &Node) -> LabelBytes {
        let mut bytes = Vec::new();
        let ends = std::array::from_fn(|series| {
            let labels =
                Labels::from_pairs(node.label_pairs(series)).expect("the catalog's labels are unique and short");
            encode_labels(&labels, &mut bytes);
            u32::try_from(bytes.len()).expect("the labels of one node are a few kilobytes")
        });
        LabelBytes { bytes, ends }
    }

    fn of_series(&self, series: usize) -> &[u8] {
        let start = if series == 0 { 0 } else { self.ends[series - 1] };
        &self.bytes[start as usize..self.ends[series] as usize]
    }
}

#[cfg(test)]
mod tests;
