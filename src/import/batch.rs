//! Samples on their way to the server, series by series: one request, or several where a server does not take so much at once.

use hashbrown::HashMap;

use super::sample::AnySample;
use crate::ingest::append_bytes;
use crate::model::Labels;

/// Samples of a request, and of a batch give or take those of one piece of text or one hour of a series. In tests few, so
/// that a short source gives many requests.
pub(super) const BATCH_SAMPLES_MAX: usize = if cfg!(test) { 100 } else { 50_000 };
/// Bytes of a batch before it is compressed, give or take those of one series.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// What a sample takes in a request, in bytes.
const SAMPLE_BYTES: usize = 18;

/// Reasons that are told apart; of those that come later only the count is kept.
pub(super) const REASONS_MAX: usize = 32;
pub(super) const OTHER_REASON: &str = "for other reasons";

/// Samples that a source could not give, by reason; `first` says which was the first.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) first: Option<String>,
    pub(super) reasons: Vec<(String, u64)>,
}

/// What is sent before the next position is noted. Its memory is used again for the next one.
#[derive(Default)]
pub(super) struct Batch {
    index: HashMap<Labels, usize>,
    samples: Vec<Vec<AnySample>>,
    sample_count: usize,
    bytes: usize,
    refused: Refused,
    refused_count: usize,
}

impl Batch {
    /// Adds samples of a series.
    pub(super) fn push(&mut self, labels: Labels, samples: impl IntoIterator<Item = impl Into<AnySample>>) {
        let label_bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 12).sum();
        let position = *self.index.entry(labels).or_insert_with(|| {
            self.samples.push(Vec::new());
            self.bytes += label_bytes;
            self.samples.len() - 1
        });
        let of_series = &mut self.samples[position];
        let before = of_series.len();
        of_series.extend(samples.into_iter().map(Into::into));
        self.sample_count += of_series.len() - before;
        self.bytes += of_series[before..].iter().map(AnySample::bytes).sum::<usize>();
    }

    /// Counts samples that cannot be sent.
    pub(super) fn refuse(&mut self, count: u64, reason: &str, which: impl FnOnce() -> String) {
        if self.refused.first.is_none() {
            self.refused.first = Some(format!("{}: {reason}", which()));
        }
        self.refused_count += 1;
        let reasons = &mut self.refused.reasons;
        let known = reasons.iter().position(|(known, _)| known == reason);
        let reason = if reasons.len() < REASONS_MAX { reason } else { OTHER_REASON };
        match known.or_else(|| reasons.iter().position(|(known, _)| known == reason)) {
            Some(position) => reasons[position].1 += count,
            None => reasons.push((reason.to_owned(), count)),
        }
    }

    pub(super) fn take_refused(&mut self) -> Refused {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sample_count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        // What is refused counts too, so that a source of nothing else is noted in parts as well.
        self.room() == 0
            || self.refused_count >= BATCH_SAMPLES_MAX
            || self.bytes + self.sample_count * SAMPLE_BYTES >= BATCH_BYTES_MAX
    }

    /// Samples that it still has room for.
    pub(super) fn room(&self) -> usize {
        BATCH_SAMPLES_MAX.saturating_sub(self.sample_count)
    }

    pub(super) fn series(&self) -> impl Iterator<Item = &Labels> {
        self.index.keys()
    }

    /// Each series with its samples.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&Labels, &[AnySample])> {
        self.index.iter().map(|(labels, position)| (labels, self.samples[*position].as_slice()))
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.samples.clear();
        self.sample_count = 0;
        self.bytes = 0;
        self.refused_count = 0;
    }

    /// Each series with its samples in order of time, in the order in which they came.
    pub(super) fn runs(&mut self) -> Vec<Run<'_>> {
        for samples in &mut self.samples {
            // Stable: of two samples of one moment the first of the source stays the first.
            samples.sort_by_key(|sample| sample.timestamp_ms);
        }
        let mut series: Vec<_> = self.index.iter().collect();
        series.sort_unstable_by_key(|(_, position)| **position);
        series.into_iter().map(|(labels, position)| Run { labels, samples: &self.samples[*position] }).collect()
    }
}

/// Samples of one series, in order of time.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) labels: &'a Labels,
    pub(super) samples: &'a [AnySample],
}

pub(super) fn count_of(runs: &[Run<'_>]) -> usize {
    runs.iter().map(|run| run.samples.len()).sum()
}

/// Takes as many samples as said off the end; the series in which the cut falls has a share in both parts.
pub(super) fn split_off<'a>(runs: &mut Vec<Run<'a>>, kept_count: usize) -> Vec<Run<'a>> {
    let mut kept = 0;
    let Some(position) = runs.iter().position(|run| {
        kept += run.samples.len();
        kept > kept_count
    }) else {
        return Vec::new();
    };
    let Run { labels, samples } = runs[position];
    let (before, behind) = samples.split_at(samples.len() - (kept - kept_count));
    let mut rest = runs.split_off(position);
    rest[0].samples = behind;
    if !before.is_empty() {
        runs.push(Run { labels, samples: before });
    }
    rest
}

/// The body of a remote-write 1.0 request. `message` is where it is put together: its memory can be used again.
pub(super) fn encode(runs: &[Run<'_>], message: &mut Vec<u8>) -> Vec<u8> {
    message.clear();
    let mut series = Vec::new();
    for run in runs {
        series.clear();
        encode_series(run.labels, run.samples, &mut series);
        append_bytes(message, 1, &series);
    }
    let body = snap::raw::Encoder::new().compress_vec(message);
    body.expect("a message is far below the 4 GiB that snappy takes")
}

/// `TimeSeries`: labels (1) of name (1) and value (2), samples (2), histograms (4).
fn encode_series(labels: &Labels, samples: &[AnySample], out: &mut Vec<u8>) {
    let mut pair = Vec::new();
    for (name, value) in labels.iter() {
        pair.clear();
        append_bytes(&mut pair, 1, name.as_bytes());
        append_bytes(&mut pair, 2, value.as_bytes());
        append_bytes(out, 1, &pair);
    }
    samples.iter().for_each(|sample| sample.encode(&mut pair, out));
}
