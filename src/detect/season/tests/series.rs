//! A shop made of integers, so that it can be made exactly alike elsewhere.
//!
//! Draws are the upper four bits of the generator `x ← 6364136223846793005 x + 1442695040888963407 mod 2⁶⁴` from 1.
//! A bucket has as many trials as [`HOURLY`] says, read between full hours, and a trial succeeds when its draw is below
//! 4 of 16.

use super::super::{Bucket, Class, GaugeBucket, GaugeSeason, GaugeTuning, Season, Tuning, Verdict};

/// 1 January 2026, a Thursday, 0:00 UTC, in ms.
pub(super) const START_MS: i64 = 1_767_225_600_000;

/// Trials a minute at full hours.
const HOURLY: [u64; 24] =
    [40, 28, 20, 16, 16, 20, 40, 90, 150, 190, 210, 220, 220, 216, 210, 208, 210, 216, 224, 230, 220, 180, 120, 70];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Orders,
    Errors,
    Conversion,
    /// Whole milliseconds, the same trials making them longer.
    Latency,
}

pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new() -> Draws {
        Draws(1)
    }

    pub(super) fn successes(&mut self, trials: u64, below: u64) -> u64 {
        let mut draw = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u64::from(self.0 >> 60 < below)
        };
        (0..trials).map(|_| draw()).sum()
    }
}

/// Sixteen days with a drop on days 4 and 9, one of 3.5 hours on day 12, a surge on day 8, a gap on day 11, a clock
/// that goes an hour ahead on day 13 (which the buckets say from day 15 on), a campaign in the calendar on day 14.
pub(super) fn shop(kind: Kind, bucket_s: i64, days: i64) -> Vec<Bucket> {
    let mut draws = Draws::new();
    (0..days * 86_400 / bucket_s).filter_map(|index| bucket(kind, bucket_s, index, &mut draws)).collect()
}

fn bucket(kind: Kind, bucket_s: i64, index: i64, draws: &mut Draws) -> Option<Bucket> {
    let (day, minute) = (index * bucket_s / 60 / 1_440, index * bucket_s / 60 % 1_440);
    if day == 11 && (180..360).contains(&minute) {
        return None;
    }
    let clock = if day >= 13 { (minute + 60) % 1_440 } else { minute } as u64;
    let (hour, part) = ((clock / 60) as usize, clock % 60);
    let trials = (HOURLY[hour] * (60 - part) + HOURLY[(hour + 1) % 24] * part) / 60 * bucket_s as u64 / 60;
    let is_surge = day == 8 && (720..740).contains(&minute);
    let is_short_drop = (day == 4 || day == 9) && (600..630).contains(&minute);
    let is_drop = is_short_drop || day == 12 && (780..990).contains(&minute);
    let is_campaign = day == 14 && (1_080..1_200).contains(&minute);
    let mut exposure = 1;
    let mut factor = (1, 1);
    let mut least = 0;
    let (trials, below) = match kind {
        Kind::Orders if is_surge => (trials, 8),
        Kind::Orders if is_drop => (trials, 2),
        Kind::Orders if is_campaign => (trials, 6),
        Kind::Orders => (trials, 4),
        Kind::Errors if is_surge => (trials / 4, 6),
        Kind::Errors if is_drop => (trials / 4, 4),
        Kind::Errors => (trials / 4, 1),
        Kind::Conversion => {
            let visits = draws.successes(4 * trials, 4);
            exposure = visits.max(1);
            (visits, if is_drop { 2 } else { 4 })
        }
        Kind::Latency => {
            least = 60 + trials / 4;
            factor = if is_surge {
                (2, 1)
            } else if is_drop {
                (3, 2)
            } else {
                (1, 1)
            };
            (64, 4)
        }
    };
    Some(Bucket {
        end_ms: START_MS + (index + 1) * bucket_s * 1_000,
        observed: ((least + draws.successes(trials, below)) * factor.0 / factor.1) as f64,
        exposure: exposure as f64,
        zone_offset_ms: if day >= 15 { 3_600_000 } else { 0 },
        calendar_tolerance: if is_campaign { 0.6 } else { 0.0 },
        allowance: [1.0; 2],
    })
}

/// One false alert in ten weeks, no zone.
pub(super) fn tuning(class: Class, bucket_ms: i64) -> Tuning {
    Tuning::new(class, bucket_ms, 0.1, false)
}

pub(super) fn run(season: &mut Season, buckets: &[Bucket], tuning: &Tuning) -> Vec<Verdict> {
    buckets.iter().map(|&bucket| season.observe(bucket, tuning).expect("every bucket is newer")).collect()
}

pub(super) fn gauge_tuning(bucket_ms: i64) -> GaugeTuning {
    GaugeTuning::new(bucket_ms, 0.1)
}

/// The same bucket as a value.
pub(super) fn as_gauge(bucket: &Bucket) -> GaugeBucket {
    GaugeBucket {
        end_ms: bucket.end_ms,
        value: bucket.observed,
        zone_offset_ms: bucket.zone_offset_ms,
        calendar_tolerance: bucket.calendar_tolerance,
    }
}

pub(super) fn run_gauge(season: &mut GaugeSeason, buckets: &[Bucket], tuning: &GaugeTuning) -> Vec<Verdict> {
    buckets.iter().map(|bucket| season.observe(as_gauge(bucket), tuning).expect("every bucket is newer")).collect()
}

/// `count` buckets of 21 and 19 events in turn, from bucket `from` on.
pub(super) fn calm(bucket_ms: i64, from: i64, count: i64) -> Vec<Bucket> {
    (from..from + count).map(|index| plain(bucket_ms, index, 20.0 + if index % 2 == 0 { 1.0 } else { -1.0 })).collect()
}

pub(super) fn plain(bucket_ms: i64, index: i64, observed: f64) -> Bucket {
    let end_ms = START_MS + (index + 1) * bucket_ms;
    Bucket { end_ms, observed, exposure: 1.0, zone_offset_ms: 0, calendar_tolerance: 0.0, allowance: [1.0; 2] }
}
