//! Answers that web pages of other origins may read: what their browser has to be told, as Prometheus tells it.
//!
//! ```text
//! GET /api/v1/labels   Origin: https://shop.example   ─►   Access-Control-Allow-Origin: https://shop.example, …
//! OPTIONS /api/v1/write                               ─►   204, and no word of who may
//! ```

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use regex::Regex;

use super::call::refused;
use super::reply::{Reply, no_content};
use super::routes::{Refusal, Route, find};

/// Where the addresses begin that web pages may read.
const API: &str = "/api/v1/";

/// What a request says of the page that it comes from, if it is to an address of the API.
pub(super) struct WebPage {
    /// Whether it asks what a page may do at an address that pages may read.
    is_preflight: bool,
    origin: Option<HeaderValue>,
}

impl WebPage {
    pub(super) fn of(head: &Parts) -> WebPage {
        let path = head.uri.path();
        let is_preflight = path.starts_with(API) && head.method == Method::OPTIONS && find(&Method::GET, path).is_ok();
        WebPage { is_preflight, origin: head.headers.get(ORIGIN).cloned() }
    }

    /// Tells the browser whether the page may read the answer of this route.
    pub(super) fn tell(self, route: Option<&Route>, web_origins: &Regex, reply: &mut Reply) {
        let is_question =
            route.is_some_and(|route| route.path.starts_with(API) && route.methods.contains(&Method::GET));
        if !self.is_preflight && !is_question {
            return;
        }
        let headers = reply.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin else { return };
        let word = HeaderValue::from_static;
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, word("Accept, Authorization, Content-Type, Origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, word("GET, POST, OPTIONS"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, word("Date"));
        if origin.to_str().is_ok_and(|origin| web_origins.is_match(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
}

/// The answer to OPTIONS: in the API nothing, elsewhere the methods of the address.
pub(super) fn options(path: &str, refusal: Refusal) -> Reply {
    if path.starts_with(API) {
        return no_content();
    }
    let Some(methods) = refusal.allow else { return refused(refusal) };
    let mut reply = no_content();
    *reply.status_mut() = StatusCode::OK;
    let methods = HeaderValue::from_str(&format!("{methods}, OPTIONS")).expect("names of methods are letters");
    reply.headers_mut().insert(ALLOW, methods);
    reply
}
