//! The demo's shop, sent in event time as fast as the engine takes it: good hours, a payment fault, recovery.

use dozor::clock::Clock;
use dozor::demo::{Fault, Feed, RequestEncoder, Shop, ShopOptions};

use crate::engine::Engine;

/// The region that breaks.
pub(crate) const BROKEN_REGION: &str = "eu";
/// Two rules on the demo's shop: one alert on the rate of orders, one on the latency of checkouts.
pub(crate) const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/shop-rules.yml");
pub(crate) const ALERTS: [&str; 2] = ["CheckoutLatencyRise", "OrderRateDrop"];

const MINUTE_MS: i64 = 60_000;
const REQUEST_SAMPLES: usize = 2_000;

/// Where in the story a moment lies, in event time, ms.
pub(crate) struct Story {
    pub(crate) onset_ms: i64,
    /// The fault lasts ten minutes.
    pub(crate) repair_ms: i64,
    /// Twenty minutes after the repair.
    pub(crate) end_ms: i64,
    feed: Feed,
    encoder: RequestEncoder,
}

impl Story {
    /// Two hours of a good shop, then the fault; the end is now.
    pub(crate) fn new() -> Story {
        let now_ms = Clock::system().now_ms();
        let start_ms = now_ms - now_ms.rem_euclid(MINUTE_MS) - 150 * MINUTE_MS;
        let onset_ms = start_ms + 120 * MINUTE_MS;
        let repair_ms = onset_ms + 10 * MINUTE_MS;
        let mut shop = Shop::new(ShopOptions::default()).expect("the default fleet");
        let fault = Fault::PaymentTimeout { region: BROKEN_REGION.to_owned() };
        shop.begin_fault(fault.clone(), onset_ms);
        shop.end_fault(&fault, repair_ms);
        let end_ms = repair_ms + 20 * MINUTE_MS;
        Story { onset_ms, repair_ms, end_ms, feed: Feed::new(shop, start_ms), encoder: RequestEncoder::new() }
    }

    /// Sends everything up to `until_ms`; returns when all of it is acknowledged.
    pub(crate) fn send(&mut self, engine: &Engine, until_ms: i64) {
        let mut client = engine.client();
        while self.feed.fill(&mut self.encoder, REQUEST_SAMPLES, until_ms) > 0 {
            let body = self.encoder.finish().to_vec();
            engine.write(&mut client, &body);
        }
    }
}
