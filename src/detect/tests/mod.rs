//! Streams made by hand and by a small deterministic generator, and what the judge says of them.

mod agreement;
mod daily;
mod hostile;
mod lateness;
mod learn;
mod machine;
mod merge;
mod restart;
mod restless;
mod room;
mod seasons;
mod shop;
mod signals;
mod unheard;

use std::sync::Arc;

use super::{Directions, Kind, ModelOptions, Signal, Transition, Watch, Worker, start};
use crate::model::{Labels, SeriesRef};
use crate::storage::tap::{TapBatch, TapRow};

/// Half past midnight on some day, in ms; a multiple of every bucket length.
pub(super) const START_MS: i64 = 1_700_000_100_000;

/// One sample: index of the series, time, value.
pub(super) type Row = (usize, i64, f64);

/// splitmix64, and the distributions made from it.
pub(super) struct Chance(pub u64);

impl Chance {
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    /// Mean 0, deviation 1.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// The number of independent events of which `mean` are expected.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.share(), 0.0);
        while product > limit {
            product *= self.share();
            count += 1.0;
        }
        count
    }
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    Arc::new(Labels::from_pairs(pairs.iter().copied()).unwrap())
}

pub(super) fn watch(expression: &str, options: ModelOptions) -> Watch {
    Watch { identity: expression.to_owned(), signal: Signal::compile(expression).unwrap(), options, zone: None }
}

/// The batch of some rows; with `introduced`, every series is introduced in it.
pub(super) fn batch(series: &[Arc<Labels>], rows: &[Row], introduced: bool) -> TapBatch {
    let reference = |index: usize| SeriesRef::new(0, 0, index as u32);
    let introductions = series.iter().enumerate().filter(|_| introduced);
    TapBatch {
        series: introductions.map(|(index, one)| (reference(index), one.clone())).collect(),
        rows: rows
            .iter()
            .map(|&(index, timestamp_ms, value)| TapRow { series: reference(index), timestamp_ms, value })
            .collect(),
        newest_ms: None,
    }
}

/// Feeds all rows through one worker, in batches of a hundred.
pub(super) fn transitions_of(watches: Vec<Watch>, series: &[Arc<Labels>], rows: &[Row]) -> Vec<Transition> {
    let (mut workers, mut judge) = start(watches, 1, None);
    let worker: &mut Worker = &mut workers[0];
    worker.handle(&batch(series, &[], true));
    let mut transitions = Vec::new();
    for rows in rows.chunks(100) {
        worker.handle(&batch(series, rows, false));
        transitions.extend(judge.poll());
    }
    transitions
}

pub(super) const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// One series of this name, with a sample after each `scrape_ms` for so many days. The value is told the time in ms since the
/// first one.
pub(super) fn scraped(
    name: &str,
    days: i64,
    scrape_ms: i64,
    mut value: impl FnMut(i64) -> f64,
) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let rows = (0..days * DAY_MS / scrape_ms).map(|round| (0, START_MS + round * scrape_ms, value(round * scrape_ms)));
    (vec![labels(&[("__name__", name)])], rows.collect())
}

/// When alerts of an expression began in either direction, in ms since the first sample.
pub(super) fn fired_ms(expression: &str, (series, rows): &(Vec<Arc<Labels>>, Vec<Row>)) -> Vec<i64> {
    let options = ModelOptions { directions: Directions::Both, ..ModelOptions::default() };
    let transitions = transitions_of(vec![watch(expression, options)], series, rows);
    let fired = transitions.into_iter().filter(|one| one.kind == Kind::Firing);
    fired.map(|one| one.fired_ms - START_MS).collect()
}
