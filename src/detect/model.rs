//! A group's model: young until its season was learned, and seasonal from then on.
//!
//! ```text
//! day 1        day 2        │ day 3 …
//! young:       decides      │ is dropped
//! season:      learns       │ decides
//! ```
//!
//! Always true:
//! 1. One of the two decides, and the handing over neither begins nor ends an alert: while the young one fires, or is
//!    about to, it goes on.
//! 2. A value that is often zero or less has no season, for logarithms do not fit it; the young model stays.
//! 3. When the series of a group change their interval for good, the season begins anew.

use serde::{Deserialize, Serialize};

use super::alarm::{Change, Incident};
use super::baseline::{Scale, Seen};
use super::calendar::{Calendar, Zone};
use super::explanation::{Detector, Explanation};
use super::hold::Spell;
use super::measure::{Observed, Sums, divided};
use super::options::{Directions, ModelOptions};
use super::outlook::Outlook;
use super::seasonal::Seasonal;
use super::signal::Signal;
use super::stride::Stride;
use super::trail::{Point, Trail};
use super::transition::Side;
use super::tuning::Tunings;
use super::young::{Glance, Young};

/// From this score on something may be wrong, and the whole line is kept.
const WRONG_SCORE: f64 = 0.5;
/// Buckets over which the usual exposure is a mean.
const EXPOSURES_MAX: u32 = 5_760;
/// Of so many values one may be zero or less, and they still have a season.
const VALUES_PER_NONPOSITIVE: u32 = 100;

/// One closed bucket of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed<'a> {
    pub index: i64,
    /// Its sums and what they mean; none when it cannot be judged.
    pub judged: Option<(&'a Sums, Observed)>,
    /// Share of the usual volume that reported.
    pub share: f64,
    /// How far apart something new comes from its series, in ms; 0 when not known.
    pub interval_ms: i64,
    pub day: Day,
}

/// What day it is at the end of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Day {
    /// The shop's clock minus UTC, in ms.
    pub zone_offset_ms: i64,
    /// How far from ordinary the calendar says that this time may be, as a fraction.
    pub tolerance: f64,
}

impl Day {
    /// The day at an instant, in ms since 1970 UTC.
    pub(crate) fn at(at_ms: i64, zone: &Zone, calendar: &Calendar) -> Day {
        Day { zone_offset_ms: zone.offset_ms(at_ms), tolerance: calendar.tolerance(at_ms) }
    }
}

/// What a bucket came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub changes: Vec<Change>,
    /// The season began anew, because the series report at another interval.
    pub is_anew: bool,
}

/// State of one group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Model {
    young: Option<Box<Young>>,
    season: Option<Box<Seasonal>>,
    /// What events of a ratio are usually counted among, and of how many buckets; 1 for a plain count. A young model
    /// knows no exposures, only shares of the usual volume.
    usual_exposure: f64,
    exposures: u32,
    /// What was made of the latest bucket by the model that decides.
    outlook: Option<Outlook>,
    trail: Trail,
}

impl Model {
    /// A group that was never seen, of events or of values.
    pub(crate) fn new(is_of_counts: bool, stride: Stride) -> Model {
        let scale = if is_of_counts { Scale::Count } else { Scale::Log };
        Model {
            young: Some(Box::new(Young::new(scale))),
            season: Some(Box::new(Seasonal::new(is_of_counts, stride))),
            usual_exposure: 1.0,
            exposures: 0,
            outlook: None,
            trail: Trail::default(),
        }
    }

    /// Of a place without a group.
    pub(crate) fn none() -> Model {
        Model { young: None, season: None, usual_exposure: 1.0, exposures: 0, outlook: None, trail: Trail::default() }
    }

    /// The alerts that there are.
    pub(crate) fn firing(&self) -> impl Iterator<Item = Incident> + '_ {
        let young = self.young.as_ref().and_then(|young| young.firing());
        let season = self.season.as_ref().filter(|_| self.young.is_none());
        young.into_iter().chain(season.into_iter().flat_map(|season| season.firing()))
    }

    /// Whether it alerted so often that it takes more evidence than of others.
    pub(crate) fn is_restless(&self) -> bool {
        match (&self.young, &self.season) {
            (Some(young), _) => young.is_restless(),
            (None, season) => season.as_ref().is_some_and(|season| season.is_restless()),
        }
    }

    /// What the model that decides made of the latest bucket.
    pub(crate) fn outlook(&self) -> Option<Outlook> {
        self.outlook
    }

    /// What the model that decides expected of the latest bucket, in the unit of the expression.
    pub(crate) fn expected(&self, signal: &Signal) -> Option<f64> {
        let outlook = self.outlook?;
        outlook.expected.map(|expected| outlook.in_unit(expected, signal))
    }

    /// What fires in a direction that is no longer watched is forgotten. Says how much that was.
    pub(crate) fn forget_unwatched(&mut self, directions: Directions) -> usize {
        let before = self.firing().count();
        self.young.iter_mut().for_each(|young| young.forget_unwatched(directions));
        self.season.iter_mut().for_each(|season| season.forget_unwatched(directions));
        before - self.firing().count()
    }

    /// Sources with this share of the volume left.
    pub(crate) fn sources_left(&mut self, share: f64) {
        self.young.iter_mut().for_each(|young| young.sources_left(share));
        self.season.iter_mut().for_each(|season| season.sources_left(share));
    }

    /// Sources joined, this many for each one before.
    pub(crate) fn sources_joined(&mut self, share: f64) {
        self.young.iter_mut().for_each(|young| young.sources_joined(share));
        self.season.iter_mut().for_each(|season| season.sources_joined(share));
    }

    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let young = self.young.as_ref().map_or(0, |young| young.glimpse());
        let season = self.season.as_ref().map_or(0, |season| season.glimpse());
        let outlook = self.outlook.map_or(0, |outlook| outlook.threshold.to_bits());
        young ^ season ^ outlook ^ self.trail.glimpse()
    }

    /// Takes in the next bucket, judged or not.
    pub(crate) fn observe(
        &mut self,
        closed: &Closed<'_>,
        signal: &Signal,
        options: &ModelOptions,
        tunings: &mut Tunings,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if options.directions == Directions::None {
            return outcome;
        }
        if let Some(season) = &mut self.season
            && season.follow(closed.interval_ms, signal.bucket_ms)
        {
            outcome.changes.extend(self.begin_anew(tunings));
            outcome.is_anew = true;
        }
        let is_young = self.young.is_some();
        self.learn_exposure(closed, signal);
        let usual = if is_young { self.usual(closed, signal, tunings) } else { None };
        let has_season = self.season.is_some();
        let glance = glance(closed, signal, self.usual_exposure).map(|glance| Glance { usual, has_season, ..glance });
        if let (Some(young), Some(glance)) = (&mut self.young, glance) {
            outcome.changes.extend(young.observe(&glance, options, tunings.of_young()));
            let outlook = young.outlook(&glance, self.usual_exposure, options, tunings.of_young());
            self.note(outlook, &outcome.changes, signal);
        }
        let seen = self.season.as_mut().and_then(|season| season.observe(closed, signal, options, tunings, !is_young));
        if let (Some((outlook, changes)), false) = (seen, is_young) {
            self.note(outlook, &changes, signal);
            outcome.changes.extend(changes);
        }
        // A service that is down is zero for long, and that is no way to be: it is told, and asked about when it is back.
        if matches!(closed.judged, Some((_, Observed::Value(value))) if value > 0.0) {
            self.drop_logarithms();
        }
        self.grow(tunings, signal);
        outcome
    }

    /// The least and the most events that the season, which is learned meanwhile, saw a day ago around this time.
    fn usual(&self, closed: &Closed<'_>, signal: &Signal, tunings: &mut Tunings) -> Option<[f64; 2]> {
        let (season, Observed::Count { exposure, .. }) = (self.season.as_ref()?, closed.judged?.1) else { return None };
        season.usual(signal.end_ms(closed.index), exposure * closed.share, closed.day, signal, tunings)
    }

    /// Keeps what explains an alert.
    fn note(&mut self, outlook: Outlook, changes: &[Change], signal: &Signal) {
        let mut firing = [false; 2];
        match (&self.young, &self.season) {
            (Some(young), _) => young.firing().iter().for_each(|incident| firing[incident.direction.index()] = true),
            (None, Some(season)) => season.firing().for_each(|incident| firing[incident.direction.index()] = true),
            (None, None) => {}
        }
        for change in changes {
            // What ends with this bucket is to be explained once more.
            if let Change::Resolved(incident) = change {
                firing[incident.direction.index()] = true;
            }
        }
        let is_wrong = firing != [false; 2] || outlook.scores.iter().any(|score| *score >= WRONG_SCORE);
        self.trail.add(outlook.point(signal), is_wrong);
        for side in [Side::Drop, Side::Rise] {
            let is_counted = signal.is_count() && (firing[side.index()] || outlook.scores[side.index()] > 0.0);
            self.trail.count(side, outlook.missing(side).filter(|_| is_counted));
        }
        self.outlook = Some(outlook);
    }

    /// The figures behind an alert of one side; none before the first bucket.
    pub(crate) fn explain(
        &self,
        side: Side,
        spell: Spell,
        signal: &Signal,
        options: &ModelOptions,
        tunings: &mut Tunings,
    ) -> Option<Explanation> {
        let outlook = self.outlook?;
        let in_unit = |amount: f64| outlook.in_unit(amount, signal);
        let season = self.season.as_ref();
        let seasonal = season.zip(outlook.expected).filter(|_| self.young.is_none());
        let lost = signal.is_count().then(|| self.trail.missing(side));
        Some(Explanation {
            direction: side.into(),
            detector: if self.young.is_some() { Detector::Level } else { Detector::Season },
            onset_ms: spell.onset_ms,
            detected_ms: spell.fired_ms,
            value: in_unit(outlook.observed),
            expected: outlook.expected.map(in_unit),
            bounds: outlook.bounds.map(|bounds| bounds.map(in_unit)),
            evidence: Some([outlook.scores[side.index()] * outlook.threshold, outlook.threshold]),
            lost_events: lost,
            lost_money: lost.zip(options.price).map(|(events, price)| events * price),
            learned: season.map(|season| season.learned(tunings, signal)),
            detectable_drop: seasonal.and_then(|(season, expected)| season.detectable_drop(expected, tunings, signal)),
            forecast: None,
            line: self.line(),
            parts: Vec::new(),
        })
    }

    /// The latest buckets.
    pub(crate) fn line(&self) -> Vec<Point> {
        self.trail.points()
    }

    fn learn_exposure(&mut self, closed: &Closed<'_>, signal: &Signal) {
        if let (true, Some((_, Observed::Count { exposure, .. }))) = (signal.has_exposure(), closed.judged) {
            self.exposures = (self.exposures + 1).min(EXPOSURES_MAX);
            self.usual_exposure += (exposure - self.usual_exposure) / f64::from(self.exposures);
        }
    }

    /// Hands over to the season when it is due.
    fn grow(&mut self, tunings: &mut Tunings, signal: &Signal) {
        let (Some(young), Some(season)) = (&self.young, &self.season) else { return };
        if !young.is_calm() || !season.is_grown(tunings, signal) {
            return;
        }
        if season.is_positive(VALUES_PER_NONPOSITIVE) {
            self.young = None;
        } else {
            self.season = None;
        }
    }

    /// A value that is often zero or less is judged as it is.
    fn drop_logarithms(&mut self) {
        if let (Some(young), Some(season)) = (&mut self.young, &self.season)
            && season.is_often_nonpositive(VALUES_PER_NONPOSITIVE)
        {
            young.drop_logarithms();
        }
    }

    /// A new season, and a young model until it is learned; what fired ends.
    #[cold]
    fn begin_anew(&mut self, tunings: &Tunings) -> Vec<Change> {
        let ended = match self.young {
            Some(_) => Vec::new(),
            None => self.firing().map(Change::Resolved).collect(),
        };
        let stride = self.season.take().map_or_else(Stride::new, |season| season.stride().clone());
        let fresh = Model::new(tunings.is_of_counts(), stride);
        (self.young, self.season) = (self.young.take().or(fresh.young), fresh.season);
        ended
    }
}

/// The bucket as a young model is to see it; none when there is nothing to be seen.
fn glance(closed: &Closed<'_>, signal: &Signal, usual_exposure: f64) -> Option<Glance> {
    let seen = match closed.judged?.1 {
        Observed::Count { events, exposure } => {
            let share = divided(exposure * closed.share, usual_exposure);
            (share > 0.0).then_some(Seen { value: events, share })?
        }
        Observed::Value(value) => Seen { value, share: 1.0 },
        Observed::Nothing => return None,
    };
    Some(Glance {
        seen,
        end_ms: signal.end_ms(closed.index),
        bucket_ms: signal.bucket_ms,
        interval_ms: closed.interval_ms,
        tolerance: closed.day.tolerance,
        usual: None,
        zone_offset_ms: closed.day.zone_offset_ms,
        has_season: true,
    })
}
