//! How much a template may do: a budget that everything pays for, so that whoever wrote it cannot keep a server busy.

/// Most work of one filling in: a byte made counts one, a step sixteen, a pattern and a query thousands.
const WORK_MAX: usize = 10_000_000;
const WORK_STEP: usize = 16;
const WORK_PATTERN: usize = 20_000;
const WORK_QUERY: usize = 100_000;

/// What may still be done.
pub(super) struct Work {
    left: usize,
}

impl Work {
    /// All of it is left.
    pub(super) fn new() -> Work {
        Work { left: WORK_MAX }
    }

    fn take(&mut self, amount: usize) -> Result<(), String> {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err("the template does too much: it was stopped".to_owned())
            }
        }
    }

    /// Pays for a step.
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.take(WORK_STEP)
    }

    /// Pays for bytes that are about to be made.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), String> {
        self.take(count)
    }

    /// Pays for a regular expression and its search through a text.
    pub(super) fn pattern(&mut self, pattern: &str, text: &str) -> Result<(), String> {
        self.take(WORK_PATTERN.saturating_add(16 * (pattern.len() + text.len())))
    }

    /// Pays for a query.
    pub(super) fn query(&mut self) -> Result<(), String> {
        self.take(WORK_QUERY)
    }
}
