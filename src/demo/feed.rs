//! The fleet's samples as a stream of requests, in event time: every node at one scrape, then every node at the next.

use super::remote_write::RequestEncoder;
use super::shop::{SERIES_PER_NODE, Shop};

/// Walks a fleet through time. A request may end in the middle of a scrape; the next one goes on there.
#[derive(Debug)]
pub struct Feed {
    shop: Shop,
    next_ms: i64,
    node: usize,
    series: usize,
    values: [f64; SERIES_PER_NODE],
}

/// One sample on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Fed<'a> {
    /// The node, from 0 within its part of the fleet.
    pub node: usize,
    /// The series of the node.
    pub series: usize,
    /// Its labels as remote write 1.0 encodes them.
    pub label_bytes: &'a [u8],
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// What was read.
    pub value: f64,
}

impl Feed {
    /// Starts with the scrape of the first node at `start_ms`.
    pub fn new(shop: Shop, start_ms: i64) -> Feed {
        Feed { shop, next_ms: start_ms, node: 0, series: 0, values: [0.0; SERIES_PER_NODE] }
    }

    /// The fleet, to break and to repair it.
    pub fn shop_mut(&mut self) -> &mut Shop {
        &mut self.shop
    }

    /// Event time of the next sample, in ms.
    pub fn next_ms(&self) -> i64 {
        self.next_ms
    }

    /// Puts samples into the request until it has `sample_count_max` of them or the next would be later than `until_ms`.
    /// Returns how many it added: none when that time is reached.
    pub fn fill(&mut self, encoder: &mut RequestEncoder, sample_count_max: usize, until_ms: i64) -> usize {
        let before = encoder.sample_count();
        while encoder.sample_count() < sample_count_max
            && self.next(until_ms, |fed| encoder.push(fed.label_bytes, fed.timestamp_ms, fed.value))
        {}
        encoder.sample_count() - before
    }

    /// Gives the next sample to `take`, unless it is later than `until_ms`; returns whether it did.
    pub fn next(&mut self, until_ms: i64, take: impl FnOnce(&Fed<'_>)) -> bool {
        if self.next_ms > until_ms {
            return false;
        }
        if self.series == 0 {
            self.values = self.shop.scrape(self.node, self.next_ms);
        }
        let label_bytes = self.shop.label_bytes(self.node, self.series);
        let (node, series, value) = (self.node, self.series, self.values[self.series]);
        take(&Fed { node, series, label_bytes, timestamp_ms: self.next_ms, value });
        self.step();
        true
    }

    fn step(&mut self) {
        self.series += 1;
        if self.series < SERIES_PER_NODE {
            return;
        }
        self.series = 0;
        self.node += 1;
        if self.node == self.shop.node_count() {
            self.node = 0;
            self.next_ms += self.shop.scrape_interval_ms();
        }
    }
}
