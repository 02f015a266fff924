//! The thread that writes back what groups were expected to be, so that it can be drawn: `anomaly_score`,
//! `anomaly_expected`, `anomaly_lower`, `anomaly_upper` and `anomaly_active`, under the labels of the group and the
//! alert's name.
//!
//! Always true: nobody waits for it. What it cannot keep up with, or is refused, is left out and counted: lines with a gap are better
//! than a pager that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use tokio::runtime::Handle;

use super::{ServerError, thread};
use crate::detect::Band;
use crate::ingest::{Ingest, MadeSample, MadeValue};
use crate::model::{Labels, METRIC_NAME};
use crate::rules::RuleSet;

/// Buckets of groups that wait at most: a minute of 25,000 groups, or two days of a few whose history is caught up with.
const WAITING_COUNT_MAX: usize = 100_000;

/// Buckets of groups, and the rules that watch them.
type Batch = (Arc<RuleSet>, Vec<Band>);

/// The thread, and the way to it.
pub(super) struct Bands {
    way: ToBands,
    running: JoinHandle<()>,
}

/// The judge's end. What waits is bounded by the counter, not by the channel: a look may judge one bucket or thousands.
#[derive(Clone)]
pub(super) struct ToBands {
    inbox: Sender<Batch>,
    waiting: Arc<AtomicUsize>,
    left_out: Arc<AtomicU64>,
}

impl Bands {
    /// Needs a tokio runtime.
    pub(super) fn start(ingest: Arc<Ingest>) -> Result<Bands, ServerError> {
        let (way, outbox) = ToBands::new();
        let runtime = Handle::current();
        let (waiting, left_out) = (way.waiting.clone(), way.left_out.clone());
        let running = thread("bands", move || {
            for (rules, bands) in outbox {
                let count = bands.len();
                write_back(&rules, bands, &ingest, &runtime, &left_out);
                waiting.fetch_sub(count, Ordering::Relaxed);
            }
        })?;
        Ok(Bands { way, running })
    }

    pub(super) fn sender(&self) -> ToBands {
        self.way.clone()
    }

    /// Buckets that were left out.
    pub(super) fn left_out(&self) -> &Arc<AtomicU64> {
        &self.way.left_out
    }

    /// Waits for the end, which comes when every [`ToBands`] is gone.
    pub(super) fn join(self) {
        drop(self.way);
        let _ = self.running.join();
    }
}

impl ToBands {
    fn new() -> (ToBands, Receiver<Batch>) {
        let (inbox, outbox) = unbounded();
        (ToBands { inbox, waiting: Arc::default(), left_out: Arc::default() }, outbox)
    }

    /// Hands over what was judged, or leaves it out.
    pub(super) fn send(&self, rules: &Arc<RuleSet>, bands: Vec<Band>) {
        let count = bands.len();
        if count == 0 {
            return;
        }
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        let is_sent = before + count <= WAITING_COUNT_MAX && self.inbox.send((rules.clone(), bands)).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            self.left_out.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

fn write_back(rules: &RuleSet, mut bands: Vec<Band>, ingest: &Ingest, runtime: &Handle, left_out: &AtomicU64) {
    bands.sort_by_key(|band| band.at_ms);
    for of_moment in bands.chunk_by(|one, next| one.at_ms == next.at_ms) {
        let drawn: Vec<(Labels, f64)> = of_moment.iter().flat_map(|band| drawn(rules, band)).collect();
        let samples: Vec<MadeSample<'_>> =
            drawn.iter().map(|(labels, value)| MadeSample { labels, value: MadeValue::Number(*value) }).collect();
        if let Err(error) = runtime.block_on(ingest.take_made(of_moment[0].at_ms, &samples)) {
            left_out.fetch_add(of_moment.len() as u64, Ordering::Relaxed);
            tracing::debug!(error = error.told(), "what groups were expected to be was not stored");
        }
    }
}

/// The samples of a bucket.
fn drawn(rules: &RuleSet, band: &Band) -> Vec<(Labels, f64)> {
    let alert = rules.rules[band.watch].alert.as_str();
    let [lower, upper] = band.bounds.map_or([None; 2], |bounds| bounds.map(Some));
    let named = [
        ("anomaly_score", Some(band.score)),
        ("anomaly_expected", band.expected),
        ("anomaly_lower", lower),
        ("anomaly_upper", upper),
        ("anomaly_active", Some(f64::from(u8::from(band.is_active)))),
    ];
    let sample = |(name, value): (&str, Option<f64>)| {
        let own = [(METRIC_NAME, name), ("alertname", alert)];
        let inherited = band.labels.iter().filter(|(name, _)| own.iter().all(|(one, _)| one != name));
        // A group with as many labels as there may be has no room for more.
        Some((Labels::from_pairs(inherited.chain(own)).ok()?, value?))
    };
    named.into_iter().filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn bucket_becomes_five_series_under_the_labels_of_its_group() {
        let disk = SimulatedDisk::new();
        let file = std::path::PathBuf::from("/rules.yml");
        let text = "groups:\n  - name: g\n    rules:\n      - alert: Drop\n        expr: sum by (region) (rate(orders[1m]))\n        \
                    anomaly: { direction: drop }\n";
        crate::disk::Disk::replace(&disk, &file, text.as_bytes()).unwrap();
        let rules = crate::rules::load(&disk, &[file]).unwrap();
        let band = Band {
            watch: 0,
            labels: Arc::new(Labels::from_pairs([("region", "eu")]).unwrap()),
            at_ms: 15_000,
            score: 0.25,
            expected: Some(20.0),
            bounds: Some([15.0, 25.0]),
            is_active: true,
        };
        let told = |band: &Band| -> Vec<(String, f64)> {
            drawn(&rules, band).iter().map(|(labels, value)| (labels.to_string(), *value)).collect()
        };
        let named = |name: &str, value: f64| (format!(r#"{name}{{alertname="Drop", region="eu"}}"#), value);
        assert_eq!(
            told(&band),
            [
                named("anomaly_score", 0.25),
                named("anomaly_expected", 20.0),
                named("anomaly_lower", 15.0),
                named("anomaly_upper", 25.0),
                named("anomaly_active", 1.0),
            ]
        );
        let unknown = Band { expected: None, bounds: None, is_active: false, ..band };
        assert_eq!(told(&unknown), [named("anomaly_score", 0.25), named("anomaly_active", 0.0)]);
    }

    #[test]
    fn what_the_thread_cannot_keep_up_with_is_left_out_and_counted() {
        let (to_bands, outbox) = ToBands::new();
        let band = Band {
            watch: 0,
            labels: Arc::new(Labels::empty()),
            at_ms: 0,
            score: 0.0,
            expected: None,
            bounds: None,
            is_active: false,
        };
        let rules = Arc::new(RuleSet::default());
        to_bands.send(&rules, vec![band.clone(); WAITING_COUNT_MAX - 1]);
        to_bands.send(&rules, vec![band.clone(), band.clone()]);
        to_bands.send(&rules, Vec::new());
        assert_eq!(to_bands.left_out.load(Ordering::Relaxed), 2);
        to_bands.send(&rules, vec![band]);
        assert_eq!(to_bands.left_out.load(Ordering::Relaxed), 2, "there is room for one");
        assert_eq!(outbox.len(), 2);
    }
}
