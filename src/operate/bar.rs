//! How far it is: a bar on a terminal, a line each tenth elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::bytes;

const TEMPLATE: &str = "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {eta} {msg}";
/// Lines from beginning to end where there is no terminal.
const LINES: u64 = 10;

/// Shown on standard error until it is dropped.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    what: &'static str,
    lines: u64,
}

impl Bar {
    /// Of work called `what`.
    pub(super) fn new(what: &'static str) -> Bar {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is right");
            ProgressBar::new(0).with_style(style).with_prefix(what)
        });
        Bar { bar, what, lines: 0 }
    }

    /// So many of all bytes are done, and this is next.
    pub(super) fn show(&mut self, next: &str, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(next.to_owned());
            }
            None if done.saturating_mul(LINES) / total.max(1) > self.lines => {
                self.lines = done.saturating_mul(LINES) / total.max(1);
                eprintln!("{} {} of {}", self.what, bytes(done), bytes(total));
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
