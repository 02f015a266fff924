//! One node: what happens in it between two scrapes.
//!
//! ```text
//! time of day ─► demand ─► visits, searches, carts ─► checkouts ─► orders │ payment timeouts
//!                   └────► CPU, network, memory          └─► one bucket of the latency histogram each
//! ```
//!
//! Always true: a step depends on the state before it, the time it covers and the node's own noise; nothing else.

use super::catalog::SERIES;
use super::noise::Noise;
use super::{Fault, HOUR_MS, SERIES_PER_NODE, ShopOptions};
use crate::model::METRIC_NAME;

/// Upper bounds of the latency histogram in seconds, but for the last, which is infinite. Equal to the `le` labels.
pub(super) const BUCKET_BOUNDS: [f64; 6] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// What a checkout in each bucket takes on average, in seconds.
const BUCKET_MEANS: [f64; 7] = [0.08, 0.16, 0.33, 0.68, 1.63, 3.38, 6.4];

/// Checkouts that are tried, in each second, on an average node at the daily peak.
const CHECKOUTS_PER_S: f64 = 3.0;
/// Share of checkouts that end in a payment timeout on a good day.
const TIMEOUT_SHARE: f64 = 0.004;
/// Share of the orders that are lost while the payment provider times out.
const TIMEOUT_SHARE_BROKEN: f64 = 0.75;
/// Half of all checkouts take less, in seconds.
const LATENCY_MEDIAN_S: f64 = 0.15;
/// The same while the payment provider times out.
const LATENCY_MEDIAN_BROKEN_S: f64 = 2.0;
/// Exponent of the log-logistic curve that latencies follow: the 95th percentile is 19^(1/4) = 2.09 medians.
const LATENCY_SHAPE: i32 = 4;
/// Cores of a node, as far as the CPU counters know.
const CORES: f64 = 4.0;
const PAGE_BYTES: f64 = 4096.0;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longest time that one step covers; a longer gap between scrapes is a node that was away.
const STEP_MS_MAX: i64 = 10 * 60_000;

/// A fault and when it lasts: from `from_ms` (included) to `until_ms` (excluded), in event time.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

/// A node with its place in the fleet and its own generator.
#[derive(Debug)]
pub(super) struct Node {
    region: String,
    name: String,
    address: String,
    utc_offset_ms: i64,
    /// How much of the fleet's traffic comes here, around 1.
    weight: f64,
    restart_interval_ms: i64,
    scrape_interval_ms: i64,
    noise: Noise,
    /// Event time up to which the state has advanced; `None` before the first scrape.
    now_ms: Option<i64>,
    restart_ms: i64,
    state: State,
}

/// Everything that a node's series are read from.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) process: Process,
    pub(super) machine: Machine,
    pub(super) gauges: Gauges,
}

/// Counters of the shop's process: gone when it restarts.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) start_ms: i64,
    pub(super) visits: u64,
    pub(super) searches: u64,
    pub(super) cart_adds: u64,
    pub(super) orders: u64,
    pub(super) payment_timeouts: u64,
    pub(super) revenue_cents: u64,
    pub(super) emails: u64,
    pub(super) login_failures: u64,
    pub(super) slow_queries: u64,
    /// Checkouts in each bucket alone, the infinite one last.
    pub(super) bucket_counts: [u64; 7],
    pub(super) checkout_seconds: f64,
    pub(super) cpu_s: f64,
}

/// Counters of the machine.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) cpu_user_s: f64,
    pub(super) cpu_idle_s: f64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) written_bytes: u64,
}

/// What goes up and down; units in the names, counts without.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) sessions: f64,
    pub(super) queue_depth: f64,
    pub(super) db_connections: f64,
    pub(super) backup_at_s: f64,
    pub(super) resident_bytes: f64,
    pub(super) open_files: f64,
    pub(super) available_bytes: f64,
    pub(super) disk_bytes: f64,
    pub(super) load: f64,
    pub(super) probe_s: f64,
    pub(super) certificate_until_s: f64,
}

impl Process {
    /// Checkouts in the bucket at `index` and all below it, as a `_bucket` series counts them.
    pub(super) fn checkouts_up_to(&self, index: usize) -> f64 {
        self.bucket_counts[..=index].iter().sum::<u64>() as f64
    }
}

impl Node {
    pub(super) fn new(index: usize, options: &ShopOptions) -> Node {
        let region_index = index % options.regions.len();
        let region = options.regions[region_index].clone();
        let mut noise = Noise::new(options.seed, index as u64);
        Node {
            name: format!("{region}-{:04}", index / options.regions.len()),
            address: format!("10.{}.{}.{}", region_index % 256, index / 250 % 256, index % 250 + 1),
            utc_offset_ms: utc_offset_ms(&region, region_index),
            weight: 0.8 + 0.4 * noise.uniform(),
            restart_interval_ms: options.restart_interval_ms,
            scrape_interval_ms: options.scrape_interval_ms,
            now_ms: None,
            restart_ms: i64::MAX,
            state: State::default(),
            region,
            noise,
        }
    }

    /// All pairs of one series, the metric's name among them.
    pub(super) fn label_pairs(&self, series: usize) -> Vec<(&'static str, String)> {
        let row = &SERIES[series];
        let port = if row.job == "node" { 9100 } else { 8080 };
        let mut pairs = vec![
            (METRIC_NAME, row.name.to_owned()),
            ("instance", format!("{}:{port}", self.address)),
            ("job", row.job.to_owned()),
            ("node", self.name.clone()),
            ("region", self.region.clone()),
        ];
        pairs.extend(row.labels.iter().map(|(name, value)| (*name, (*value).to_owned())));
        pairs
    }

    /// All series as of the last step.
    pub(super) fn read(&self) -> [f64; SERIES_PER_NODE] {
        std::array::from_fn(|series| (SERIES[series].read)(&self.state))
    }

    /// Lets time pass up to `timestamp_ms`.
    pub(super) fn advance(&mut self, timestamp_ms: i64, troubles: &[Trouble]) {
        let before_ms = match self.now_ms {
            Some(now_ms) => now_ms,
            None => self.boot(timestamp_ms),
        };
        if timestamp_ms <= before_ms {
            return;
        }
        self.now_ms = Some(timestamp_ms);
        if timestamp_ms >= self.restart_ms {
            self.restart(timestamp_ms);
        }
        let elapsed_s = (timestamp_ms - before_ms).min(STEP_MS_MAX) as f64 / 1000.0;
        let broken =
            troubles.iter().map(|trouble| trouble.share(&self.region, before_ms, timestamp_ms)).fold(0.0, f64::max);
        let demand = daily_demand(timestamp_ms + self.utc_offset_ms) * self.weight;
        let visits = self.serve(demand, elapsed_s);
        self.check_out(demand, elapsed_s, broken);
        self.work(demand, elapsed_s, visits);
        self.measure(demand, timestamp_ms, broken);
    }

    /// Gives the node a past: up for some days, with the counters that belong to them. Returns where the first step starts.
    fn boot(&mut self, timestamp_ms: i64) -> i64 {
        let up_ms = HOUR_MS + (self.noise.uniform() * 5.0 * DAY_MS as f64) as i64;
        let up_s = up_ms as f64 / 1000.0;
        self.state.process.start_ms = timestamp_ms - up_ms;
        self.state.gauges.disk_bytes = 60e9 + 20e9 * self.noise.uniform();
        let demand = 0.6 * self.weight;
        let visits = self.serve(demand, up_s);
        self.check_out(demand, up_s, 0.0);
        self.work(demand, up_s, visits);
        self.restart_ms = timestamp_ms.saturating_add(self.next_restart_in_ms());
        timestamp_ms - self.scrape_interval_ms
    }

    fn next_restart_in_ms(&mut self) -> i64 {
        let waits = -(1.0 - self.noise.uniform()).ln();
        self.scrape_interval_ms.saturating_add((waits * self.restart_interval_ms as f64) as i64)
    }

    fn restart(&mut self, timestamp_ms: i64) {
        self.state.process = Process { start_ms: timestamp_ms - self.scrape_interval_ms / 2, ..Process::default() };
        self.restart_ms = timestamp_ms.saturating_add(self.next_restart_in_ms());
    }

    /// Visitors look around. Returns how many pages they saw.
    fn serve(&mut self, demand: f64, elapsed_s: f64) -> u64 {
        let expected = demand * elapsed_s;
        let visits = self.noise.poisson(22.0 * expected);
        let process = &mut self.state.process;
        process.visits += visits;
        process.searches += self.noise.poisson(7.0 * expected);
        process.cart_adds += self.noise.poisson(4.5 * expected);
        process.login_failures += self.noise.poisson(0.12 * expected);
        process.slow_queries += self.noise.poisson(0.03 * expected);
        visits
    }

    /// Visitors pay; `broken` is the share of the time in which the payment provider timed out.
    fn check_out(&mut self, demand: f64, elapsed_s: f64, broken: f64) {
        let expected = CHECKOUTS_PER_S * demand * elapsed_s;
        let median_s = self.noise.around(LATENCY_MEDIAN_S * (0.9 + 0.15 * demand), 0.015);
        let process = &mut self.state.process;
        let mut checkouts = 0;
        let mut share_below = 0.0;
        for (bucket, mean_s) in BUCKET_MEANS.into_iter().enumerate() {
            let share_up_to = BUCKET_BOUNDS.get(bucket).map_or(1.0, |bound| {
                (1.0 - broken) * latency_share(*bound, median_s)
                    + broken * latency_share(*bound, LATENCY_MEDIAN_BROKEN_S)
            });
            let count = self.noise.poisson(expected * (share_up_to - share_below).max(0.0));
            process.bucket_counts[bucket] += count;
            if count > 0 {
                process.checkout_seconds += self.noise.around(count as f64 * mean_s, 0.2 / (count as f64).sqrt());
            }
            checkouts += count;
            share_below = share_up_to;
        }
        let timeout_share = (1.0 - broken) * TIMEOUT_SHARE + broken * TIMEOUT_SHARE_BROKEN;
        let timeouts = self.noise.binomial(checkouts, timeout_share);
        let orders = checkouts - timeouts;
        process.payment_timeouts += timeouts;
        process.orders += orders;
        process.emails += orders;
        if orders > 0 {
            let basket_cents = self.noise.around(5_840.0, 0.25 / (orders as f64).sqrt());
            process.revenue_cents += (orders as f64 * basket_cents).round() as u64;
        }
    }

    /// What the traffic costs the machine.
    fn work(&mut self, demand: f64, elapsed_s: f64, visits: u64) {
        let busy = self.noise.around(0.08 + 0.35 * demand, 0.05).clamp(0.01, 0.97);
        let received_bytes = self.noise.around(2_140.0, 0.03) * visits as f64;
        let sent_bytes = self.noise.around(38_400.0, 0.05) * visits as f64;
        let pages = self.noise.poisson(6.0 * elapsed_s);
        let machine = &mut self.state.machine;
        machine.cpu_user_s += busy * elapsed_s;
        machine.cpu_idle_s += (1.0 - busy) * elapsed_s;
        machine.received_bytes += received_bytes as u64;
        machine.sent_bytes += sent_bytes as u64;
        machine.written_bytes += pages * PAGE_BYTES as u64;
        self.state.process.cpu_s += 0.8 * busy * elapsed_s;
        let gauges = &mut self.state.gauges;
        gauges.load += 0.2 * (self.noise.around(CORES * busy, 0.2) - gauges.load);
        gauges.load = (gauges.load * 100.0).round() / 100.0;
        gauges.disk_bytes = (gauges.disk_bytes - pages as f64 * PAGE_BYTES).max(PAGE_BYTES);
    }

    /// Reads the gauges that have no memory.
    fn measure(&mut self, demand: f64, timestamp_ms: i64, broken: f64) {
        let noise = &mut self.noise;
        let gauges = &mut self.state.gauges;
        gauges.sessions = noise.poisson(240.0 * demand * (1.0 + broken)) as f64;
        gauges.queue_depth = noise.poisson(2.5 * demand) as f64;
        gauges.db_connections = 1.0 + noise.poisson(9.0 * demand * (1.0 + 2.0 * broken)) as f64;
        gauges.open_files = 38.0 + gauges.db_connections + (gauges.sessions / 4.0).floor();
        gauges.resident_bytes = whole_pages(noise.around(410e6 + 300e3 * gauges.sessions, 0.004));
        gauges.available_bytes = whole_pages(noise.around(6.1e9, 0.002) - gauges.resident_bytes);
        let latency_s = 0.5 * LATENCY_MEDIAN_S * (0.9 + 0.15 * demand);
        gauges.probe_s = (noise.around(latency_s, 0.06) * 1e9).round() / 1e9;
        let since_backup_ms = (timestamp_ms - 2 * HOUR_MS).rem_euclid(DAY_MS);
        gauges.backup_at_s = (timestamp_ms - since_backup_ms) as f64 / 1000.0;
        let until_renewal_ms = (60 * DAY_MS) - timestamp_ms.rem_euclid(60 * DAY_MS);
        gauges.certificate_until_s = (timestamp_ms + until_renewal_ms + 30 * DAY_MS) as f64 / 1000.0;
    }
}

impl Trouble {
    /// Which share of the step from `from_ms` to `to_ms` it spoils in `region`, 0 to 1.
    fn share(&self, region: &str, from_ms: i64, to_ms: i64) -> f64 {
        let Fault::PaymentTimeout { region: broken } = &self.fault;
        let spoiled_ms = to_ms.min(self.until_ms) - from_ms.max(self.from_ms);
        if region == broken { spoiled_ms.max(0) as f64 / (to_ms - from_ms) as f64 } else { 0.0 }
    }
}

/// Share of checkouts that take at most `bound_s`.
fn latency_share(bound_s: f64, median_s: f64) -> f64 {
    1.0 / (1.0 + (median_s / bound_s).powi(LATENCY_SHAPE))
}

/// How busy the shop is by local time of day: 1 at the peak at eight in the evening, 0.4 in the small hours.
fn daily_demand(local_ms: i64) -> f64 {
    let day = local_ms.rem_euclid(DAY_MS) as f64 / DAY_MS as f64;
    let since_peak = std::f64::consts::TAU * (day - 20.0 / 24.0);
    0.7 + 0.3 * since_peak.cos()
}

fn utc_offset_ms(region: &str, region_index: usize) -> i64 {
    let hours = match region {
        "eu" => 1,
        "us" => -5,
        "apac" => 8,
        _ => region_index as i64 % 12,
    };
    hours * HOUR_MS
}

fn whole_pages(bytes: f64) -> f64 {
    (bytes / PAGE_BYTES).floor() * PAGE_BYTES
}
