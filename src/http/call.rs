//! One request, from its head to its answer.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use tokio::sync::Semaphore;

use super::Services;
use super::compress::{Coding, compressed};
use super::cors::{WebPage, options};
use super::entrance::AskRecovery;
use super::limits::{EXPORTS_MAX, HttpLimits, READS_MAX};
use super::queries::QueryPool;
use super::reply::{ApiError, ErrorKind, Reply, close_after};
use super::request::{BodyBudget, Parameters};
use super::routes::{Answer, ROUTES, Refusal, find};
use super::sent::SentTexts;
use crate::telemetry::{Counter, Gauge, Latency, Registry};

/// What every request shares.
pub(super) struct Front {
    pub(super) services: Arc<Services>,
    pub(super) limits: HttpLimits,
    pub(super) numbers: Arc<Numbers>,
    /// How the start went.
    pub(super) recovery: AskRecovery,
    pub(super) queries: QueryPool,
    pub(super) texts: SentTexts,
    pub(super) bodies: BodyBudget,
    /// From which duration on a query is told in the log.
    pub(super) slow_query: Option<Duration>,
    /// The turn to carry out an order: there is one.
    pub(super) orders: Arc<Semaphore>,
    /// The turns to export.
    pub(super) exports: Arc<Semaphore>,
    /// The turns to read remotely.
    pub(super) reads: Arc<Semaphore>,
}

/// What the server counts about itself.
pub(super) struct Numbers {
    pub(super) connections: Gauge,
    /// In the order of [`Refused`].
    connections_refused: [Counter; 4],
    pub(super) accept_failures: Counter,
    panics: Counter,
    /// In the order of [`ROUTES`], and one more for addresses that are not in it.
    routes: Vec<RouteNumbers>,
}

/// Why a connection was refused.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// All places are taken.
    ConnectionsMax,
    /// Its address has as many as it may.
    PerAddressMax,
    /// It came with a write to a place that is kept for questions.
    Kept,
    /// It said nothing, and another wanted its place.
    Silent,
}

/// The names of [`Refused`], in its order.
const REFUSED: [&str; 4] = ["connections_max", "connections_per_address_max", "kept_for_questions", "silent"];

struct RouteNumbers {
    took: Latency,
    /// By the first digit of the status: 1 to 5.
    by_class: [Counter; 5],
}

/// One request on its way to its handler.
pub(super) struct Call {
    pub(super) front: Arc<Front>,
    pub(super) head: Parts,
    pub(super) body: Incoming,
    /// What stands in the path for `{name}`, as it was sent.
    pub(super) captured: String,
}

impl Front {
    pub(super) fn new(
        services: Arc<Services>,
        limits: HttpLimits,
        numbers: Arc<Numbers>,
        recovery: AskRecovery,
    ) -> Arc<Front> {
        let queries = QueryPool::new(&limits, &services.registry);
        let texts = SentTexts::new(limits.texts_bytes_max, &services.registry);
        let threshold_ms = u64::try_from(services.config.query.slow_log_threshold_ms).unwrap_or(0);
        let slow_query = (threshold_ms > 0).then(|| Duration::from_millis(threshold_ms));
        let orders = Arc::new(Semaphore::new(1));
        let exports = Arc::new(Semaphore::new(EXPORTS_MAX));
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let bodies = BodyBudget::new(&limits, &services.registry);
        Arc::new(Front {
            services,
            limits,
            numbers,
            recovery,
            queries,
            texts,
            bodies,
            slow_query,
            orders,
            exports,
            reads,
        })
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(self: &Arc<Front>, request: Request<Incoming>) -> Reply {
        let start = self.services.clock.monotonic();
        let (head, body) = request.into_parts();
        let coding = Coding::wanted(&head.headers);
        let page = WebPage::of(&head);
        let (index, reply) = self.route(head, body).await;
        let mut reply = compressed(coding, reply).await;
        self.texts.keep(&mut reply, coding);
        page.tell(ROUTES.get(index), &self.services.web_origins, &mut reply);
        if reply.status() == StatusCode::PAYLOAD_TOO_LARGE {
            close_after(&mut reply);
        }
        self.numbers.count(index, reply.status(), self.services.clock.monotonic().saturating_sub(start));
        reply
    }

    /// Finds the handler and runs it. Also says by which row of the table.
    async fn route(self: &Arc<Front>, head: Parts, body: Incoming) -> (usize, Reply) {
        if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
            return (ROUTES.len(), ApiError::bad_data("a request has exactly one Host header").into_reply());
        }
        let (index, captured) = match find(&head.method, head.uri.path()) {
            Ok(found) => found,
            Err(refusal) if head.method == Method::OPTIONS => {
                return (ROUTES.len(), options(head.uri.path(), *refusal));
            }
            Err(refusal) => return (ROUTES.len(), refused(*refusal)),
        };
        let route = &ROUTES[index];
        if !route.always && !self.services.ready.load(Ordering::SeqCst) {
            let error = ApiError::new(ErrorKind::Unavailable, "the server is stopping: try again");
            return (index, error.retry_after(1).into_reply());
        }
        let handler = CatchPanic((route.handler)(Call { front: self.clone(), head, body, captured }));
        let reply = match handler.await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => error.into_reply(),
            Err(Panicked) => {
                self.numbers.panics.increment();
                tracing::error!(route = route.path, "a handler panicked; its request is answered 500");
                ApiError::new(ErrorKind::Internal, "this request met a bug; the log has more").into_reply()
            }
        };
        (index, reply)
    }
}

pub(super) fn refused(refusal: Refusal) -> Reply {
    let mut reply = refusal.error.into_reply();
    if let Some(allow) = refusal.allow {
        let allow = HeaderValue::from_str(&allow).expect("names of methods are letters");
        reply.headers_mut().insert(ALLOW, allow);
    }
    reply
}

impl Call {
    /// The parameters of address and form.
    pub(super) async fn parameters(self) -> Result<(Arc<Front>, Parameters), ApiError> {
        let read = Parameters::read(&self.head, self.body, &self.front.bodies, &self.front.limits);
        let parameters = read.await?;
        Ok((self.front, parameters))
    }
}

impl Numbers {
    pub(super) fn new(registry: &Registry) -> Numbers {
        let paths = ROUTES.iter().map(|route| route.path).chain(["other"]);
        Numbers {
            connections: registry.gauge("dozor_http_connections", "Open connections.", &[]),
            connections_refused: REFUSED.map(|reason| {
                let help = "Connections refused, by the limit.";
                registry.counter("dozor_http_connections_refused_total", help, &[("reason", reason)])
            }),
            accept_failures: registry.counter(
                "dozor_http_accept_failures_total",
                "Connections that the system did not hand over, mostly for want of descriptors.",
                &[],
            ),
            panics: registry.counter("dozor_http_panics_total", "Requests that met a bug.", &[]),
            routes: paths.map(|path| RouteNumbers::new(registry, path)).collect(),
        }
    }

    /// Counts a connection that was refused, or closed for others.
    pub(super) fn count_refused(&self, why: Refused) {
        self.connections_refused[why as usize].increment();
    }

    pub(super) fn count(&self, index: usize, status: StatusCode, took: Duration) {
        let route = &self.routes[index];
        route.took.record(took);
        // hyper's status has three digits, and we use those from 1xx to 5xx.
        route.by_class[usize::from(status.as_u16() / 100).clamp(1, 5) - 1].increment();
    }
}

impl RouteNumbers {
    fn new(registry: &Registry, path: &str) -> RouteNumbers {
        let took = registry.latency("dozor_http_request_seconds", "Head to answer.", &[("route", path)]);
        let by_class = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| {
            let labels = [("route", path), ("status", class)];
            registry.counter("dozor_http_requests_total", "Requests answered.", &labels)
        });
        RouteNumbers { took, by_class }
    }
}

/// A handler's panic, already printed by the panic hook.
struct Panicked;

/// Runs a handler, and makes a panic of it a value.
struct CatchPanic(Answer);

impl Future for CatchPanic {
    type Output = Result<Result<Reply, ApiError>, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Unwind safe: a future that has panicked is dropped and never looked at again.
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}
