//! The open port before the database is: who comes early is told how far the start is, and when to come again.

use std::sync::{Arc, OnceLock};

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::call::{Front, Numbers, Refused, refused};
use super::connections::NoSeat;
use super::limits::HttpLimits;
use super::pages;
use super::reply::{ApiError, ErrorKind, Reply, close_after, come_again, text};
use super::routes::{ROUTES, find};
use super::{Recovery, Services};
use crate::clock::Clock;
use crate::telemetry::Registry;

/// When somebody who came too early should ask again, in s.
const RETRY_AFTER_S: u32 = 1;

/// Gives how far the start is. Must return at once.
pub(super) type AskRecovery = Arc<dyn Fn() -> Recovery + Send + Sync>;

/// What answers on the port: until [`Entrance::open`] health, metrics and progress, then everything.
pub struct Entrance {
    pub(super) limits: HttpLimits,
    pub(super) numbers: Arc<Numbers>,
    registry: Arc<Registry>,
    clock: Clock,
    recovery: AskRecovery,
    /// Set once, when the database is open.
    front: OnceLock<Arc<Front>>,
}

impl Entrance {
    /// An entrance that says how far the start is. The clock measures requests.
    pub fn new(
        limits: HttpLimits,
        registry: Arc<Registry>,
        clock: Clock,
        recovery: impl Fn() -> Recovery + Send + Sync + 'static,
    ) -> Arc<Entrance> {
        let numbers = Arc::new(Numbers::new(&registry));
        let recovery = Arc::new(recovery);
        Arc::new(Entrance { limits, numbers, registry, clock, recovery, front: OnceLock::new() })
    }

    /// Lets everybody in: from the next request on, the services answer. Once.
    pub fn open(&self, services: Arc<Services>) {
        let front = Front::new(services, self.limits.clone(), self.numbers.clone(), self.recovery.clone());
        assert!(self.front.set(front).is_ok(), "an entrance is opened once");
    }

    /// What answers once the entrance is open.
    #[cfg(test)]
    pub(super) fn front(&self) -> Arc<Front> {
        self.front.get().expect("the entrance is open").clone()
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        match self.front.get() {
            Some(front) => front.answer(request).await,
            None => self.answer_early(request.method(), request.uri().path()),
        }
    }

    /// Answers the one request of a connection at a place kept for questions: what can be asked by GET, by whatever method.
    pub(super) async fn answer_question(&self, request: Request<Incoming>) -> Reply {
        let found = find(request.method(), request.uri().path());
        let is_question = found.map_or(true, |(index, _)| ROUTES[index].methods.contains(&Method::GET));
        let mut reply = if is_question {
            self.answer(request).await
        } else {
            self.numbers.count_refused(Refused::Kept);
            let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, NoSeat::ConnectionsMax.told());
            come_again(&mut reply, RETRY_AFTER_S);
            reply
        };
        close_after(&mut reply);
        reply
    }

    fn answer_early(&self, method: &Method, path: &str) -> Reply {
        let start = self.clock.monotonic();
        let (index, reply) = match find(method, path) {
            Ok((index, _)) => (index, self.early_page(ROUTES[index].path)),
            Err(refusal) => (ROUTES.len(), refused(*refusal)),
        };
        self.numbers.count(index, reply.status(), self.clock.monotonic().saturating_sub(start));
        reply
    }

    fn early_page(&self, path: &str) -> Reply {
        let recovery = (self.recovery)();
        match path {
            "/" => pages::index_text(),
            "/-/healthy" => pages::healthy_text(),
            "/-/ready" => text(StatusCode::SERVICE_UNAVAILABLE, recovery.told()),
            "/metrics" => pages::exposition(&self.registry),
            "/api/v1/status/buildinfo" => pages::build_info_json(),
            "/api/v1/status/walreplay" => {
                pages::replay_json(&recovery, if recovery.segment_count == 0 { "waiting" } else { "in progress" })
            }
            _ => {
                let error = ApiError::new(ErrorKind::Unavailable, recovery.told());
                error.retry_after(RETRY_AFTER_S).into_reply()
            }
        }
    }
}
