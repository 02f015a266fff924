//! Watches the stream: expressions become signals that are fed sample by sample, in event time, and each closed bucket
//! of a signal is judged by the model of its group.
//!
//! ```text
//! shard 0 tap ─► Worker 0 ─ partial sums ─► queue ─┐
//! shard 1 tap ─► Worker 1 ─ partial sums ─► queue ─┼─► Judge: merge ─► model of the group ─► Transition
//! shard 2 tap ─► Worker 2 ─ partial sums ─► queue ─┘
//! ```
//!
//! `sum by (region) (rate(shop_orders_total[1m]))` is cut into buckets of 15 s. Node 7 reports 100 orders at 12:00:10
//! and 130 at 12:00:25: of the 30 new ones 10 belong to the bucket that ends at 12:00:15 and 20 to the next one. A
//! bucket is closed when every series that feeds it has reported beyond its end. If 40 orders were expected in it and 9
//! came, that is evidence of a drop; after a minute of such buckets the group fires.
//!
//! Always true:
//! 1. No clock is read. Time is what samples say, so replayed history gives the transitions that live data gave.
//! 2. The same samples give the same transitions, however they are split over shards and batches, as long as no sample
//!    arrives later than the *lateness* behind the newest one seen. That is learned for each job (`lateness.rs`), and
//!    decides when a bucket closes, never what is in it.
//! 3. A sample counts once: one that is not newer than its series' last one changes nothing.
//! 4. Lost telemetry neither fires nor resolves: a bucket to which fewer than 80 % of the living series reported is not
//!    judged.
//! 5. A worker is the only owner of its state; what it shares is one bounded lock-free queue and atomics ([`Shared`]).
//!
//! A series counts from 30 s, or what the setting says, after its first sample, also after an interruption, which is a gap of more
//! than 2.2 of its intervals and 5 s. One that was silent for five minutes, or ended with a staleness marker, has left:
//! between what was expected with it and without it all is well, until the level has followed. A node whose clock is
//! wrong does not move the time of the others; the groups of one that is behind by more than 30 s are judged that much
//! later, up to five minutes, beyond which it does not count. Before its job is known, a series whose samples come every
//! 20 s or more seldom may be late by two of its intervals; one that reports more seldom than every five minutes, up to every ten,
//! counts from the third sample on.
//!
//! A group whose last series went while it fired keeps firing, also across restarts: that nobody reports is no recovery.
//! It ends when its series come back and are well, when its rule is changed or removed, when somebody knows that those who
//! sent them were removed ([`Shared::unheard`]), or half a day later ([`Judge::keep_unheard`]), for an instance that was
//! replaced never comes back.
//!
//! A watch has [`GROUPS_COUNT_MAX`] places for groups. One whose series went keeps its place, for a shop that sleeps on
//! Sundays is to be known on Mondays; when there is none left for a new one, those go that were silent for longest, an
//! hour at least, and neither fire nor are awaited. So instances that come and go by the thousand are all watched while
//! they live.
//!
//! Which expressions are fed, and where they say something else than a query, is told in `signal.rs`; what cannot be fed is
//! evaluated every 15 s by whoever runs the workers, and its values are handed to the judge ([`Source::Evaluated`]).
//!
//! What is judged, bucket by bucket: of sums of rates, the increments in the bucket (not the overlapping window); of
//! fractions of such, the increments above among those below; of quantiles and means, those of the bucket's own
//! observations; of everything else, the value at the bucket's end. The `value` of a transition is
//! the windowed one, as the expression says it.
//!
//! | what decides | from | says |
//! | --- | --- | --- |
//! | a fixed limit, a slope towards an end | the first bucket on | `limit`, `full` |
//! | a level that follows (`young.rs`) | 40 judged buckets (ten minutes) on | `drop`, `rise` |
//! | the season of day and week (`season`) | two days of judged buckets on, in place of the level | `drop`, `rise` |
//! | beats that fail to come (`absence`) | 20 beats on | `absent` |
//!
//! What comes every day at this time is known of a value too that is often zero and has no season (`daily.rs`). A group that
//! was calm while its level was learned, and alerts again and again since, is given the noise that it has (`restless.rs`).
//!
//! Whoever exposes a series may have something new to say less often than it is asked: a queue is counted once a minute and
//! scraped every 15 s. Where that is so of all series of a group, the distance of what is new is what counts as their
//! interval, up to ten minutes (`refresh.rs`): four equal samples are one look.
//!
//! Days and weeks are those of the shop's clock, and what its calendar announces is excused ([`Judge::live_by`]). Every
//! alert carries the figures behind it ([`Explanation`]).
//!
//! Which of the series underneath moved most is not known here, for workers add them up and the judge never sees them: whoever
//! has the stored series asks them when an alert fires ([`Inquiry`]).

mod absence;
mod alarm;
mod band;
mod baseline;
mod binary;
mod buckets;
mod by_name;
mod calendar;
mod compile;
mod cusum;
mod daily;
mod event_time;
mod explanation;
mod feeders;
mod fixed;
mod formula;
mod group;
mod hold;
mod judge;
mod judged;
mod lateness;
mod learn;
mod limit;
mod measure;
mod model;
mod options;
mod outlook;
mod parts;
mod pending;
mod refresh;
mod restless;
mod saturation;
mod season;
mod seasonal;
mod series;
mod shared;
mod signal;
mod sources;
mod state;
mod stride;
mod suspect;
mod told;
mod trail;
mod transition;
mod tuning;
mod unheard;
mod window;
mod worker;
mod young;

use std::sync::Arc;

pub use absence::AbsenceOptions;
pub use band::Band;
pub use calendar::{
    ANNOUNCED_COUNT_MAX, AnnounceError, AnnounceRequest, Announced, AnnouncedState, Announcements, Calendar,
    CalendarFull, InForce, Zone,
};
pub use explanation::{Detector, Explanation};
pub use judge::Judge;
pub use lateness::{JOBS_COUNT_MAX, JobLateness, LATENESS_MS_DEFAULT, LATENESS_MS_MAX, LATENESS_MS_MIN};
pub use learn::{Evaluate, LearnError, LearnOptions, Learned, TRANSITIONS_COUNT_MAX, learn};
pub use limit::LimitOptions;
pub use options::{Directions, ModelOptions, SignalClass};
pub use parts::{Inquiry, PARTS_COUNT_MAX, Part, Question};
pub use saturation::{Ceiling, Forecast, FullOptions};
pub use shared::{EvaluatedValue, Metrics, Shared};
pub use signal::{Signal, SignalError, Source};
pub use state::{Restored, StateError};
pub use suspect::Suspect;
pub use trail::Point;
pub use transition::{Direction, Firing, Kind, Transition};
pub(crate) use tuning::class_of;
pub use unheard::Unheard;
pub use worker::Worker;

/// One expression to watch, and how.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Names the watch across restarts; state is restored only under an equal identity.
    pub identity: String,
    /// What is computed.
    pub signal: Signal,
    /// How it is judged.
    pub options: ModelOptions,
    /// The clock by which its days are learned, where it is not that of [`Judge::live_by`].
    pub zone: Option<Arc<Zone>>,
}

/// Most groups that one watch may have in a worker; when all of them are heard, further ones are counted in [`Metrics`]
/// and not watched.
pub const GROUPS_COUNT_MAX: usize = 10_000;

/// Makes one worker for each shard and the judge who merges what they say.
///
/// `lateness_ms` is how far behind the newest sample another may arrive and still count; of a series whose interval is
/// longer than half of that, two intervals. None: that is learned for each job.
pub fn start(watches: Vec<Watch>, worker_count: usize, lateness_ms: Option<i64>) -> (Vec<Worker>, Judge) {
    assert!(worker_count > 0, "detection needs a worker");
    let watches: Arc<[Watch]> = watches.into();
    let shared = Arc::new(Shared::new(worker_count, lateness_ms));
    let workers = (0..worker_count).map(|index| Worker::new(index, watches.clone(), shared.clone())).collect();
    (workers, Judge::new(watches, shared))
}

#[cfg(test)]
mod tests;
