//! How far it is: a bar on a terminal, a line each tenth elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::bytes;

const TEMPLATE: &str = "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {eta} {msg}";
const TEMPLATE_OF_TIME: &str = "{prefix} {wide_bar} {percent}% {eta} {msg}";
/// Lines from beginning to end where there is no terminal.
const LINES: u64 = 10;

/// Shown on standard error until it is dropped.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    what: &'static str,
    lines: u64,
    is_of_bytes: bool,
}

impl Bar {
    /// Of work called `what`, in bytes.
    pub(super) fn new(what: &'static str) -> Bar {
        Bar::with(what, TEMPLATE, true)
    }

    /// Of work called `what` that goes through time.
    pub(super) fn of_time(what: &'static str) -> Bar {
        Bar::with(what, TEMPLATE_OF_TIME, false)
    }

    fn with(what: &'static str, template: &str, is_of_bytes: bool) -> Bar {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template).expect("the template is right");
            ProgressBar::new(0).with_style(style).with_prefix(what)
        });
        Bar { bar, what, lines: 0, is_of_bytes }
    }

    /// So much of all is done, and this is next.
    pub(super) fn show(&mut self, next: &str, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(next.to_owned());
            }
            None if done.saturating_mul(LINES) / total.max(1) > self.lines => {
                self.lines = done.saturating_mul(LINES) / total.max(1);
                match self.is_of_bytes {
                    true => eprintln!("{} {} of {}", self.what, bytes(done), bytes(total)),
                    false => eprintln!("{} {} %, {next}", self.what, done.saturating_mul(100) / total.max(1)),
                }
            }
            None => {}
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
