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
        while encoder.sample_count() < sample_count_max && self.next_ms <= until_ms {
            if self.series == 0 {
                self.values = self.shop.scrape(self.node, self.next_ms);
            }
            let label_bytes = self.shop.label_bytes(self.node, self.series);
            encoder.push(label_bytes, self.next_ms, self.values[self.series]);
            self.step();
        }
        encoder.sample_count() - before
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
