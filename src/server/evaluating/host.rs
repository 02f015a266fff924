//! What rules ask and store: the engine on the stored series, and the way in of every other sample.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::ingest::{Ingest, IngestError, MadeSample, MadeValue};
use crate::model::Labels;
use crate::query::{Cancelled, Engine, Options, QueryError, Sampled, Value};
use crate::rules::{RuleHost, RuleSample};
use crate::storage::view::ReadView;

/// How often a write is tried that the engine was too busy for, and how long apart.
const WRITE_ATTEMPTS: usize = 5;
const WRITE_RETRY: Duration = Duration::from_millis(200);

/// Shared by all threads that evaluate; each has a clone.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    pub(super) engine: Arc<Engine>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) runtime: Handle,
    pub(super) clock: Clock,
    /// Set when the server stops.
    pub(super) stopping: Cancelled,
}

impl RuleHost for Host {
    fn ask(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        let options = Options { cancelled: self.stopping.clone(), ..Options::default() };
        let view = (self.view)();
        match self.engine.instant(&view, query, time_ms, &options)?.value {
            Value::Scalar(_, value) => {
                Ok(vec![RuleSample { labels: Arc::new(Labels::empty()), value: Sampled::Number(value) }])
            }
            Value::Vector(series) => {
                Ok(series.into_iter().map(|(labels, _, value)| RuleSample { labels, value }).collect())
            }
            Value::String(..) | Value::Matrix(_) => {
                Err(QueryError::Execution("rule result is not a vector or scalar".to_owned()))
            }
        }
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        let made: Vec<MadeSample<'_>> = samples.iter().map(made).collect();
        let mut attempts = 1;
        loop {
            match self.runtime.block_on(self.ingest.take_made(time_ms, &made)) {
                Ok(()) => return Ok(()),
                Err(error) if attempts < WRITE_ATTEMPTS && is_passing(&error) && !self.is_stopping() => {
                    attempts += 1;
                    std::thread::park_timeout(WRITE_RETRY);
                }
                Err(error) => return Err(error.told()),
            }
        }
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.is_set()
    }
}

fn made(sample: &RuleSample) -> MadeSample<'_> {
    let value = match &sample.value {
        Sampled::Number(value) => MadeValue::Number(*value),
        Sampled::Histogram(histogram) => MadeValue::Histogram(histogram),
    };
    MadeSample { labels: &sample.labels, value }
}

/// Whether it may be well in a moment.
fn is_passing(error: &IngestError) -> bool {
    error.retry_after_s() == Some(1)
}
