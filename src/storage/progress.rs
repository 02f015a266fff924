//! What maintenance is doing at the moment, and how far it is.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A kind of work on the stored data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Samples leave the head for a block.
    Cut,
    /// Blocks are merged.
    Compact,
    /// What is past the retention is removed.
    Expire,
    /// Series are deleted.
    Delete,
    /// Blocks are written anew without what was deleted.
    Clean,
}

const TASKS: [(Task, &str); 5] = [
    (Task::Cut, "cut"),
    (Task::Compact, "compact"),
    (Task::Expire, "expire"),
    (Task::Delete, "delete"),
    (Task::Clean, "clean"),
];

impl Task {
    /// One word for it.
    pub fn name(self) -> &'static str {
        TASKS.iter().find(|(task, _)| *task == self).expect("every task has a name").1
    }
}

/// Kept by whoever does the work, read by whoever wants to know. Relaxed: figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct Progress {
    /// 0: nothing; else one more than the place in [`TASKS`].
    task: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Says that a task of `total` steps begins, bytes or series as it likes. One at a time; a later one takes the place of
    /// an earlier one. It ends when what is returned is dropped.
    pub fn begin(&self, task: Task, total: u64) -> TaskProgress<'_> {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        let place = TASKS.iter().position(|(known, _)| *known == task).expect("every task has a place");
        self.task.store(place as u8 + 1, Ordering::Relaxed);
        TaskProgress(self)
    }

    /// The task under way, its steps done, and all its steps.
    pub fn now(&self) -> Option<(Task, u64, u64)> {
        let place = self.task.load(Ordering::Relaxed).checked_sub(1)?;
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        Some((TASKS[usize::from(place)].0, done.min(total), total))
    }
}

/// A task under way.
#[derive(Debug)]
pub struct TaskProgress<'a>(&'a Progress);

impl TaskProgress<'_> {
    /// Says that so many more steps are done.
    pub fn add(&self, steps: u64) {
        self.0.done.fetch_add(steps, Ordering::Relaxed);
    }
}

impl Drop for TaskProgress<'_> {
    fn drop(&mut self) {
        self.0.task.store(0, Ordering::Relaxed);
    }
}
