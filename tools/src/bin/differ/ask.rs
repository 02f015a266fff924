//! Asking either side.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use bytes::Bytes;
use dozor::clock::Clock;
use dozor::demo::{ClientError, Connection, Content};
use dozor::query::{Engine, Limits, Options};
use dozor::storage::view::ReadView;

use crate::answer::{Answer, Outcome};

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At { time_ms: i64 },
    Over { start_ms: i64, end_ms: i64, step_ms: i64 },
}

impl When {
    /// The steps of a range; an instant has none.
    pub(crate) fn steps_ms(self) -> Vec<i64> {
        let When::Over { start_ms, end_ms, step_ms } = self else { return Vec::new() };
        (0..=(end_ms - start_ms) / step_ms).map(|step| start_ms + step * step_ms).collect()
    }

    /// Fewer steps, the fewest first.
    pub(crate) fn smaller(self) -> Vec<When> {
        let When::Over { start_ms, end_ms, step_ms } = self else { return Vec::new() };
        let count = (end_ms - start_ms) / step_ms + 1;
        let mut found: Vec<When> = self.steps_ms().into_iter().map(|time_ms| When::At { time_ms }).collect();
        if count > 1 {
            let middle_ms = start_ms + count / 2 * step_ms;
            found.push(When::Over { start_ms, end_ms: middle_ms - step_ms, step_ms });
            found.push(When::Over { start_ms: middle_ms, end_ms, step_ms });
            found.push(When::Over { start_ms, end_ms: end_ms - step_ms, step_ms });
            found.push(When::Over { start_ms: start_ms + step_ms, end_ms, step_ms });
        }
        found
    }
}

/// Reads an instant in seconds, or a range as `start,end,step`.
pub(crate) fn when(text: &str) -> Result<When, String> {
    let millis = |text: &str| match text.parse::<f64>() {
        Ok(seconds) => Ok((seconds * 1000.0).round() as i64),
        Err(error) => Err(format!("{text:?}: {error}")),
    };
    match text.split(',').collect::<Vec<_>>()[..] {
        [at] => Ok(When::At { time_ms: millis(at)? }),
        [start, end, step] => {
            Ok(When::Over { start_ms: millis(start)?, end_ms: millis(end)?, step_ms: millis(step)?.max(1) })
        }
        _ => Err("seconds, or start,end,step".to_owned()),
    }
}

/// Our side, in this process.
pub(crate) struct Ours {
    engine: Engine,
    view: ReadView,
}

impl Ours {
    pub(crate) fn new(view: ReadView) -> Ours {
        Ours { engine: Engine::new(Limits::default(), Clock::system()), view }
    }

    pub(crate) fn ask(&self, query: &str, when: When) -> Answer {
        let options = Options::default();
        let asked = catch_unwind(AssertUnwindSafe(|| match when {
            When::At { time_ms } => self.engine.instant(&self.view, query, time_ms, &options),
            When::Over { start_ms, end_ms, step_ms } => {
                self.engine.range(&self.view, query, start_ms, end_ms, step_ms, &options)
            }
        }));
        match asked {
            Ok(answer) => Answer::of_engine(answer),
            Err(_) => Answer {
                outcome: Outcome::Failed { kind: "panic".to_owned(), text: "the engine panicked".to_owned() },
                warnings: Vec::new(),
                infos: Vec::new(),
            },
        }
    }
}

/// A server, over a connection of its own.
pub(crate) struct Server {
    connection: Connection,
}

impl Server {
    pub(crate) fn new(address: SocketAddr) -> Server {
        Server { connection: Connection::new(address) }
    }

    pub(crate) async fn ask(&mut self, query: &str, when: When) -> anyhow::Result<Answer> {
        let mut form = format!("query={}", escaped(query));
        let seconds = |time_ms: i64| format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        let path = match when {
            When::At { time_ms } => {
                form.push_str(&format!("&time={}", seconds(time_ms)));
                "/api/v1/query"
            }
            When::Over { start_ms, end_ms, step_ms } => {
                let (start, end, step) = (seconds(start_ms), seconds(end_ms), seconds(step_ms));
                form.push_str(&format!("&start={start}&end={end}&step={step}"));
                "/api/v1/query_range"
            }
        };
        let mut answer = self.connection.post(path, Content::Form, Bytes::from(form.clone())).await;
        if answer.is_err() {
            // A server may close a kept connection just as it is used again.
            answer = self.connection.post(path, Content::Form, Bytes::from(form)).await;
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(ClientError::Exchange(_, error)) => {
                let outcome = Outcome::Failed { kind: "broken".to_owned(), text: format!("broke off: {error}") };
                return Ok(Answer { outcome, warnings: Vec::new(), infos: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        Answer::of_json(&answer.body).with_context(|| format!("the answer to {query} {when:?}"))
    }

    /// Makes Prometheus drop the memory that it keeps to use again: what is kept is so for two collections.
    pub(crate) async fn collect_garbage(&mut self) -> anyhow::Result<()> {
        for _ in 0..2 {
            self.connection.get("/debug/pprof/heap?gc=1").await?;
        }
        Ok(())
    }

    /// Writes what `wire` made.
    pub(crate) async fn write(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let body = snap::raw::Encoder::new().compress_vec(message)?;
        let answer = self.connection.post("/api/v1/write", Content::RemoteWrite, Bytes::from(body)).await?;
        anyhow::ensure!(
            answer.status < 300,
            "the data were refused with {}: {}; give a fresh server, or a higher seed",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
