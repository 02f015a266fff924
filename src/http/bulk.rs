//! Data in and out in bulk, as lines of JSON (the form: [`crate::ingest::JsonLine`]).
//!
//! An export goes through time a day at a time, and through the series within each: whoever reads it to store it again gets
//! the samples nearly in the order in which they came, and no series is held in memory as a whole.
//!
//! ```text
//! Monday  up{job="a"}  up{job="b"}  …     one view for up to VIEW_HELD_MAX, then another, behind the last series
//! Tuesday up{job="a"}  up{job="b"}  …
//! ```
//!
//! Always true:
//! 1. A slow client holds no view for longer than [`VIEW_HELD_MAX`] and the time in which it takes nothing: the head can let
//!    go of what it sealed.
//! 2. What is damaged on disk is left out, and so are native histograms, for which these lines have no form; the last
//!    line says what, and of histograms how many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use tokio::sync::oneshot;

use super::body::{Body, ClientLeft, PieceWriter};
use super::call::{Call, Front};
use super::catalogue::selectors;
use super::limits::EXPORTS_MAX;
use super::reply::{ApiError, ErrorKind, Reply};
use super::request::Parameters;
use super::write::{header, read_body, told};
use crate::ingest::{append_left_out, append_line};
use crate::model::{LABELS_BYTES_MAX, LABELS_COUNT_MAX, Labels, METRIC_NAME, Matcher, TimeRange};
use crate::storage::view::{Columns, ReadView, SeriesView, ViewError};

/// Time of which a series is read at once, in ms: a day.
const WINDOW_MS: i64 = 86_400_000;
/// Samples of a line, if the client wants no fewer.
const LINE_SAMPLES_MAX: usize = 10_000;
/// Most series that are exported: their labels are held, those of a window at a time.
const SERIES_MAX: usize = 300_000;
/// How long a view serves.
const VIEW_HELD_MAX: Duration = Duration::from_secs(20);
/// When a client should come again after there was no turn for it, in s.
const RETRY_AFTER_S: u32 = 5;

/// `/api/v1/import`
pub(super) async fn import(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let parameters = Parameters::of_address(&head)?;
    let mut extra = Vec::new();
    add_extra_labels(&parameters, &mut extra)?;
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let encoding = header(&head, CONTENT_ENCODING);
    let outcome = front.services.ingest.json_lines(held.bytes.clone(), encoding, &extra).await;
    Ok(told(outcome.map(drop), StatusCode::NO_CONTENT))
}

/// Adds what each `extra_label` of the address says.
pub(super) fn add_extra_labels(parameters: &Parameters, labels: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    for pair in parameters.all("extra_label") {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| ApiError::parameter("extra_label", format!("{pair:?} is not of the form name=value")))?;
        add_label(labels, name.to_owned(), value.to_owned())?;
    }
    Ok(())
}

/// Adds a label that the address gives to all series: a name once, and in all no more than a series may have.
pub(super) fn add_label(labels: &mut Vec<(String, String)>, name: String, value: String) -> Result<(), ApiError> {
    if name.is_empty() || name == METRIC_NAME {
        return Err(ApiError::bad_data(format!("{name:?} cannot be given to all series as a label")));
    }
    if labels.iter().any(|(known, _)| *known == name) {
        return Err(ApiError::bad_data(format!("the address gives the label {name:?} twice")));
    }
    if labels.len() == LABELS_COUNT_MAX {
        return Err(ApiError::bad_data(format!("more than {LABELS_COUNT_MAX} labels in the address")));
    }
    let before: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    if before + name.len() + value.len() > LABELS_BYTES_MAX {
        return Err(ApiError::bad_data(format!("the labels in the address are longer than {LABELS_BYTES_MAX} bytes")));
    }
    labels.push((name, value));
    Ok(())
}

/// What an export is asked for.
struct Ask {
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    line_samples: usize,
}

impl Ask {
    fn read(parameters: &Parameters) -> Result<Ask, ApiError> {
        let selectors = selectors(parameters)?;
        if selectors.is_empty() {
            let error = ApiError::bad_data("no match[] parameter provided");
            return Err(error.hint("match[]={__name__!=\"\"} exports everything"));
        }
        let line_samples = match parameters.get("max_rows_per_line").map(str::parse::<usize>) {
            None | Some(Ok(0)) => LINE_SAMPLES_MAX,
            Some(Ok(count)) => count.min(LINE_SAMPLES_MAX),
            Some(Err(_)) => return Err(ApiError::parameter("max_rows_per_line", "it is not a whole number from 0 up")),
        };
        Ok(Ask { selectors, range: parameters.ordered_time_range()?, line_samples })
    }

    /// The series of any of the selectors that may have samples in `window`, each once, in order of their labels.
    fn select(&self, view: &ReadView, window: TimeRange) -> Result<Vec<SeriesView>, ViewError> {
        if let [selector] = self.selectors.as_slice() {
            return view.select(selector, window, SERIES_MAX);
        }
        let mut all: BTreeMap<Arc<Labels>, SeriesView> = BTreeMap::new();
        for selector in &self.selectors {
            let found = view.select(selector, window, SERIES_MAX)?;
            all.extend(found.into_iter().map(|series| (series.labels().clone(), series)));
            if all.len() > SERIES_MAX {
                return Err(ViewError::TooManySeries { limit: SERIES_MAX });
            }
        }
        Ok(all.into_values().collect())
    }
}

/// `/api/v1/export`
pub(super) async fn export(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let ask = Ask::read(&parameters)?;
    let Ok(turn) = front.exports.clone().try_acquire_owned() else {
        let what = format!("{EXPORTS_MAX} exports are under way: try again when one has ended");
        return Err(ApiError::new(ErrorKind::Unavailable, what).retry_after(RETRY_AFTER_S));
    };
    let (writer, body) = Body::pieces();
    let (to_start, start) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let export = Export { front: &front, ask: &ask, writer, left_out: Vec::new(), histogram_count: 0 };
        export.run(to_start);
    });
    match start.await {
        Ok(Ok(())) => Ok(answer(body)),
        Ok(Err(error)) => Err(ApiError::new(ErrorKind::Execution, error.to_string()).hint("narrow match[]")),
        Err(_) => Err(ApiError::new(ErrorKind::Internal, "this export met a bug; the log has more")),
    }
}

fn answer(body: Body) -> Reply {
    let mut reply = Reply::new(body);
    let content_type = HeaderValue::from_static("application/stream+json; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// Why an export ended before its end.
enum Stop {
    Left,
    View(ViewError),
}

impl From<ClientLeft> for Stop {
    fn from(_: ClientLeft) -> Stop {
        Stop::Left
    }
}

impl From<ViewError> for Stop {
    fn from(error: ViewError) -> Stop {
        Stop::View(error)
    }
}

/// An export under way, on a thread that may wait for its client.
struct Export<'a> {
    front: &'a Front,
    ask: &'a Ask,
    writer: PieceWriter,
    left_out: Vec<String>,
    /// Native histograms that were left out.
    histogram_count: usize,
}

impl Export<'_> {
    /// Writes it all. Whether it can begin is told to `to_start`; what goes wrong later cuts the answer short.
    fn run(mut self, to_start: oneshot::Sender<Result<(), ViewError>>) {
        let Some(mut windows) = self.windows() else {
            // Nobody listens if the client has left.
            let _ = to_start.send(Ok(()));
            let _ = self.writer.finish();
            return;
        };
        // The first one is looked for before the status is said: most of what is wrong with a request shows there.
        if let Err(error) = self.ask.select(&(self.front.services.view)(), windows.next_window()) {
            let _ = to_start.send(Err(error));
            return;
        }
        if to_start.send(Ok(())).is_err() {
            return;
        }
        match self.write_all(&mut windows) {
            Ok(()) => {
                if self.histogram_count > 0 {
                    self.left_out.push(format!("native histograms, {} of them", self.histogram_count));
                }
                if !self.left_out.is_empty() {
                    append_left_out(&self.left_out, self.writer.buffer());
                }
                let _ = self.writer.finish();
            }
            Err(Stop::Left) => tracing::debug!("the client of an export has left"),
            Err(Stop::View(error)) => tracing::warn!(%error, "an export is cut short"),
        }
    }

    /// What is asked for, as far as anything is stored.
    fn windows(&self) -> Option<Windows> {
        let stored = (self.front.services.view)().span().filter(|stored| stored.overlaps(self.ask.range))?;
        let from_ms = stored.from_ms.max(self.ask.range.from_ms);
        Some(Windows { from_ms, end_ms: stored.to_ms.min(self.ask.range.to_ms), width_ms: WINDOW_MS })
    }

    fn write_all(&mut self, windows: &mut Windows) -> Result<(), Stop> {
        while !windows.is_over() {
            let window = windows.next_window();
            if windows.is_wide() {
                match self.ask.select(&(self.front.services.view)(), window)?.as_slice() {
                    [] => windows.pass_empty(),
                    _ => windows.narrow(),
                }
            } else if self.write_window(window)? {
                windows.pass();
            } else {
                windows.pass_empty();
            }
        }
        Ok(())
    }

    /// Writes what all series have in a window, by as many views as it takes. Says whether there were any.
    fn write_window(&mut self, window: TimeRange) -> Result<bool, Stop> {
        let clock = &self.front.services.clock;
        let mut last: Option<Arc<Labels>> = None;
        let (mut columns, mut histograms) = (Columns::default(), Vec::new());
        'views: loop {
            let view = (self.front.services.view)();
            let taken = clock.monotonic();
            let found = self.ask.select(&view, window)?;
            let start = found.partition_point(|series| last.as_ref().is_some_and(|last| series.labels() <= last));
            for series in &found[start..] {
                columns.clear();
                histograms.clear();
                series.read_both(window, &mut columns, &mut histograms);
                self.histogram_count += histograms.len();
                self.write_series(series.labels(), &columns)?;
                if clock.monotonic().saturating_sub(taken) > VIEW_HELD_MAX {
                    last = Some(series.labels().clone());
                    self.note_left_out(&view);
                    continue 'views;
                }
            }
            self.note_left_out(&view);
            return Ok(!found.is_empty());
        }
    }

    fn write_series(&mut self, labels: &Labels, columns: &Columns) -> Result<(), Stop> {
        let lines =
            columns.timestamps_ms.chunks(self.ask.line_samples).zip(columns.values.chunks(self.ask.line_samples));
        for (timestamps_ms, values) in lines {
            append_line(labels, timestamps_ms, values, self.writer.buffer());
            self.writer.send_if_full()?;
        }
        Ok(())
    }

    fn note_left_out(&mut self, view: &ReadView) {
        for line in view.left_out() {
            if !self.left_out.contains(&line) {
                self.left_out.push(line);
            }
        }
    }
}

/// Goes through time in days, and over empty time in ever larger steps.
struct Windows {
    from_ms: i64,
    end_ms: i64,
    width_ms: i64,
}

impl Windows {
    fn is_over(&self) -> bool {
        self.from_ms > self.end_ms
    }

    /// Up to the end of the day, of UTC, or of more than that while nothing is found.
    fn next_window(&self) -> TimeRange {
        let day_ms = self.from_ms.div_euclid(WINDOW_MS).saturating_mul(WINDOW_MS);
        let to_ms = day_ms.saturating_add(self.width_ms - 1).min(self.end_ms);
        TimeRange { from_ms: self.from_ms, to_ms }
    }

    fn is_wide(&self) -> bool {
        self.width_ms > WINDOW_MS
    }

    fn narrow(&mut self) {
        self.width_ms = (self.width_ms / 2).max(WINDOW_MS);
    }

    fn pass_empty(&mut self) {
        self.pass();
        self.width_ms = self.width_ms.saturating_mul(2);
    }

    fn pass(&mut self) {
        match self.next_window().to_ms.checked_add(1) {
            Some(next_ms) => self.from_ms = next_ms,
            None => self.end_ms = i64::MIN,
        }
    }
}
