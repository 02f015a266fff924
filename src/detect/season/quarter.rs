//! The quarter of an hour that goes on: the unit in which the wander and yesterday are learned.
//!
//! Always true: a quarter is closed by the first bucket of another one, and holds that bucket not.

use serde::{Deserialize, Serialize};

use super::place::Place;
use super::stored::add;
use super::suspicion::Suspicion;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OpenQuarter {
    observed: f32,
    expected: f32,
    buckets_count: u32,
    quarter: Option<u8>,
    hour: u8,
    is_suspicious: bool,
}

/// A whole quarter, by the local clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quarter {
    /// 0 to 95.
    pub(super) index: usize,
    /// Hour of the day, 0 to 23.
    pub(super) hour: usize,
    pub(super) observed: f64,
    pub(super) expected: f64,
    /// Whether any bucket of it was suspicious.
    pub(super) is_suspicious: bool,
}

impl OpenQuarter {
    /// Moves on to the quarter of `place`; the one before, if this is another.
    pub(super) fn turn(&mut self, place: &Place) -> Option<Quarter> {
        let quarter = place.quarter() as u8;
        if self.quarter == Some(quarter) {
            return None;
        }
        let next = OpenQuarter { quarter: Some(quarter), hour: place.hour_of_day() as u8, ..OpenQuarter::default() };
        std::mem::replace(self, next).closed()
    }

    /// 1 from the first bucket on.
    pub(super) fn is_begun(&self) -> u64 {
        u64::from(self.quarter.is_some())
    }

    fn closed(&self) -> Option<Quarter> {
        let index = self.quarter.map(usize::from).filter(|&index| index < 96 && self.hour < 24)?;
        (self.buckets_count > 0).then(|| Quarter {
            index,
            hour: usize::from(self.hour),
            observed: f64::from(self.observed),
            expected: f64::from(self.expected),
            is_suspicious: self.is_suspicious,
        })
    }

    pub(super) fn add(&mut self, observed: f64, expected: f64, suspicion: Suspicion) {
        add(&mut self.observed, observed);
        add(&mut self.expected, expected);
        self.buckets_count += 1;
        self.is_suspicious |= suspicion.is_some();
    }
}
