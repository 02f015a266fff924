//! Samples that are made here: what rules record.
//!
//! They go the way of every other sample, into the log and past the taps, under the same bounds on labels and series.

use super::{Ingest, IngestError};
use crate::model::{FloatHistogram, Labels};

/// Most samples of one write: a piece of the log that is read back at once.
const PART_SAMPLES_MAX: usize = 5_000;

/// A sample of a series that is made here.
#[derive(Clone, Copy, Debug)]
pub struct MadeSample<'a> {
    /// What names its series; the metric's name is among them.
    pub labels: &'a Labels,
    /// What it is.
    pub value: MadeValue<'a>,
}

/// The value of a sample that is made here.
#[derive(Clone, Copy, Debug)]
pub enum MadeValue<'a> {
    /// A number, or a staleness marker.
    Number(f64),
    /// A native histogram.
    Histogram(&'a FloatHistogram),
}

impl Ingest {
    /// Stores samples of one moment, in ms since 1970 UTC, in as many writes as their count makes of them. Fails with
    /// the last refusal, behind all that could be stored; or at once where trying again may help.
    pub async fn take_made(&self, time_ms: i64, samples: &[MadeSample<'_>]) -> Result<(), IngestError> {
        let mut outcome = Ok(());
        let limits = self.limits();
        let part_max = PART_SAMPLES_MAX.min(limits.series_per_request_max).min(limits.samples_per_request_max);
        for part in samples.chunks(part_max.max(1)) {
            let mut over = Ok(());
            let written = self.take_own(|rows| {
                over = part.iter().try_for_each(|sample| {
                    let series = rows.series(sample.labels.iter())?;
                    match sample.value {
                        MadeValue::Number(value) => rows.sample(series, time_ms, value),
                        MadeValue::Histogram(histogram) => match histogram.check() {
                            Ok(()) => rows.histogram(series, time_ms, histogram),
                            Err(error) => {
                                rows.refuse(1, error.to_string(), || sample.labels.to_string());
                                Ok(())
                            }
                        },
                    }
                });
            });
            let written = written.await;
            over?;
            match written {
                Ok(_) => {}
                Err(error) if error.status() >= 500 => return Err(error),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}
