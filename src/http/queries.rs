//! Queries: where they wait, on which threads they run, and how they end when nobody wants their answer any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asker::Asker;
use super::call::{Call, Front};
use super::compress::Coding;
use super::json;
use super::limits::{HttpLimits, QUERIES_WAITING_MAX};
use super::parameters::parse_span_ms;
use super::reply::{self, ApiError, ErrorKind, Reply};
use super::request::Parameters;
use super::sent::TextOf;
use crate::config::duration_text;
use crate::notify::rfc3339;
use crate::query::{Answer, Cancelled, Options, QueryError, Usage, Value};
use crate::telemetry::{Counter, Gauge, Registry};

/// When a client should ask again after there was no room for its query, in s.
const RETRY_AFTER_S: u32 = 5;
const TRUNCATED: &str = "results truncated due to limit";

/// Permits to run, and the places of those who wait for one.
pub(super) struct QueryPool {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue_timeout: Duration,
    running: Gauge,
    refused: Counter,
    cancelled: Counter,
}

impl QueryPool {
    pub(super) fn new(limits: &HttpLimits, registry: &Registry) -> QueryPool {
        let waiting = Arc::new(AtomicUsize::new(0));
        let waiting_now = waiting.clone();
        registry.gauge_fn("dozor_queries_waiting", "Queries that wait for their turn.", &[], move || {
            waiting_now.load(Ordering::SeqCst) as f64
        });
        QueryPool {
            permits: Arc::new(Semaphore::new(limits.queries_max)),
            waiting,
            queue_timeout: limits.queue_timeout,
            running: registry.gauge("dozor_queries_running", "Queries that run now.", &[]),
            refused: registry.counter("dozor_queries_refused_total", "Queries that got no turn in time.", &[]),
            cancelled: registry.counter("dozor_queries_cancelled_total", "Queries whose client left.", &[]),
        }
    }

    /// Runs `work` on a thread for blocking work when it is its turn. When the caller is dropped, since the client has
    /// left, the flag that `work` was given is set; its permit is free when it has returned.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cancelled) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let cancelled = Cancelled::default();
        let mut client = Client { cancelled: cancelled.clone(), left: self.cancelled.clone(), is_there: true };
        let done = self.run_for(cancelled, work).await;
        client.is_there = false;
        done
    }

    async fn run_for<T: Send + 'static>(
        &self,
        cancelled: Cancelled,
        work: impl FnOnce(&Cancelled) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.turn().await?;
        let running = Running::start(self.running.clone(), permit);
        let thread = tokio::task::spawn_blocking(move || {
            let _running = running;
            work(&cancelled)
        });
        thread.await.map_err(|error| {
            tracing::error!(%error, "a query met a bug; its request is answered 500");
            ApiError::new(ErrorKind::Internal, "this query met a bug; the log has more")
        })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let place = Place::take(&self.waiting);
        let turn = tokio::time::timeout(self.queue_timeout, self.permits.clone().acquire_owned());
        let permit = match &place {
            Some(_) => turn.await.ok().map(|permit| permit.expect("the semaphore is never closed")),
            None => None,
        };
        permit.ok_or_else(|| {
            self.refused.increment();
            let what = "too many queries are running and waiting: try again, or raise query.concurrency";
            ApiError::new(ErrorKind::Unavailable, what).retry_after(RETRY_AFTER_S)
        })
    }
}

/// A place in the queue, given back when it goes out of scope.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Place<'a>> {
        let place = Place(waiting);
        let before = waiting.fetch_add(1, Ordering::SeqCst);
        (before < QUERIES_WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A running query: counted, and holding its permit, until its thread is done with it.
struct Running {
    gauge: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    fn start(gauge: Gauge, permit: OwnedSemaphorePermit) -> Running {
        gauge.add(1);
        Running { gauge, _permit: permit }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gauge.add(-1);
    }
}

/// The client of a query that waits or runs. Dropped while it is there, it has left: the query is told, and counted.
struct Client {
    cancelled: Cancelled,
    left: Counter,
    is_there: bool,
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.is_there {
            self.cancelled.cancel();
            self.left.increment();
        }
    }
}

/// `/api/v1/query`
pub(super) async fn instant(call: Call) -> Result<Reply, ApiError> {
    let (asker, coding) = (Asker::of(&call.head), Coding::wanted(&call.head.headers));
    let (front, parameters) = call.parameters().await?;
    let time_ms = parameters.time_ms("time")?.unwrap_or_else(|| front.services.clock.now_ms());
    let ask = Ask::read(&parameters, asker, coding, format!("at {}", rfc3339(time_ms)))?;
    evaluate(front, ask, move |front, ask, options| {
        let view = (front.services.view)();
        front.services.engine.instant(&view, &ask.query, time_ms, options)
    })
    .await
}

/// `/api/v1/query_range`
pub(super) async fn range(call: Call) -> Result<Reply, ApiError> {
    let (asker, coding) = (Asker::of(&call.head), Coding::wanted(&call.head.headers));
    let (front, parameters) = call.parameters().await?;
    let steps = parameters.steps()?;
    let (from, to, step) = (rfc3339(steps.start_ms), rfc3339(steps.end_ms), duration_text(steps.step_ms));
    let ask = Ask::read(&parameters, asker, coding, format!("from {from} to {to} by {step}"))?;
    evaluate(front, ask, move |front, ask, options| {
        let view = (front.services.view)();
        front.services.engine.range(&view, &ask.query, steps.start_ms, steps.end_ms, steps.step_ms, options)
    })
    .await
}

/// What an answer says of its cost.
#[derive(Clone, Copy, PartialEq)]
enum Stats {
    None,
    Totals,
    BySteps,
}

/// What instant and range queries have in common.
struct Ask {
    query: String,
    timeout: Option<Duration>,
    lookback_ms: Option<i64>,
    /// `nocache=1`: every step is to be computed.
    no_cache: bool,
    /// Most series that the client wants.
    limit: usize,
    /// Whether the answer is to say what it cost, and by step.
    stats: Stats,
    asker: Asker,
    /// How the client likes its answer.
    coding: Option<Coding>,
    /// The moment or range that it is about, for the log.
    times: String,
}

impl Ask {
    fn read(parameters: &Parameters, asker: Asker, coding: Option<Coding>, times: String) -> Result<Ask, ApiError> {
        let lookback_ms = parameters.get("lookback_delta").map(parse_span_ms).transpose();
        let lookback_ms =
            lookback_ms.map_err(|what| ApiError::bad_data(format!("error parsing lookback delta duration: {what}")))?;
        Ok(Ask {
            query: parameters.get("query").unwrap_or("").to_owned(),
            timeout: parameters.timeout()?,
            lookback_ms,
            no_cache: parameters.get("nocache") == Some("1"),
            limit: parameters.limit()?,
            stats: match parameters.get("stats") {
                None => Stats::None,
                Some("all") => Stats::BySteps,
                Some(_) => Stats::Totals,
            },
            asker,
            coding,
            times,
        })
    }
}

/// Evaluates, and writes the JSON on the same thread: for a long answer that is work too.
async fn evaluate(
    front: Arc<Front>,
    ask: Ask,
    run: impl FnOnce(&Front, &Ask, &Options) -> Result<Answer, QueryError> + Send + 'static,
) -> Result<Reply, ApiError> {
    let work_front = front.clone();
    let came = front.services.clock.monotonic();
    let reply = front.queries.run(move |cancelled| {
        let front = work_front;
        let services = &front.services;
        let queued = services.clock.monotonic().saturating_sub(came);
        let _noted = services.journal.note(&ask.query, services.clock.now_ms());
        let options = Options {
            timeout: ask.timeout,
            lookback_ms: ask.lookback_ms,
            no_cache: ask.no_cache || ask.stats != Stats::None,
            cancelled: cancelled.clone(),
            usage: if ask.stats == Stats::BySteps { Usage::by_step() } else { Usage::default() },
        };
        let ran = run(&front, &ask, &options);
        let used = options.usage.used();
        let took = services.clock.monotonic().saturating_sub(came).saturating_sub(queued);
        if front.slow_query.is_some_and(|threshold| took >= threshold) {
            let outcome = ran.as_ref().map_or_else(QueryError::kind, |_| "success");
            ask.asker.tell_slow(&ask.query, &ask.times, took, &used, outcome);
        }
        let mut answer = ran?;
        let text = answer.kept_as.map(|serial| TextOf { serial, limit: ask.limit });
        if let Some(sent) = text.and_then(|text| front.texts.find(text, ask.coding)) {
            return Ok(sent);
        }
        truncate(&mut answer, ask.limit);
        let cost = (ask.stats != Stats::None).then(|| json::Cost { queued, used, steps: options.usage.steps() });
        let mut reply = reply::json(StatusCode::OK, json::answer(&answer, cost.as_ref()));
        if let Some(text) = text {
            reply.extensions_mut().insert(text);
        }
        Ok(reply)
    });
    reply.await?.map_err(|error| ApiError::of_query(&error, "query"))
}

fn truncate(answer: &mut Answer, limit: usize) {
    let warning = match &mut answer.value {
        Value::Vector(series) => cut(series, limit),
        Value::Matrix(series) => cut(series, limit),
        Value::Scalar(..) | Value::String(..) => None,
    };
    answer.warnings.extend(warning);
}

/// Cuts a list to what the client wants; gives a warning where that took something away.
pub(super) fn cut<T>(list: &mut Vec<T>, limit: usize) -> Option<String> {
    let cut = list.len() > limit;
    list.truncate(limit);
    cut.then(|| TRUNCATED.to_owned())
}
