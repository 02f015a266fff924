//! Which workers feed a group, and how far each has told.
//!
//! A group whose series are all of one shard has one feeder, which is most of them: it is kept without an allocation.
//! Workers 0 and 2 feed one, and have told the buckets before 43 and before 42: 41 is told, 42 is not.
//!
//! Always true: a worker is there once.

#[derive(Debug, Default)]
pub(super) struct Feeders {
    first: Option<Feeder>,
    rest: Vec<Feeder>,
}

#[derive(Clone, Copy, Debug)]
struct Feeder {
    worker: usize,
    /// The bucket that it tells next.
    next: i64,
}

impl Feeders {
    /// A worker feeds from this bucket on, or from an earlier one, if that is what it said before.
    pub(super) fn expect_from(&mut self, worker: usize, bucket: i64) {
        if let Some(feeder) = self.iter_mut().find(|feeder| feeder.worker == worker) {
            feeder.next = feeder.next.min(bucket);
            return;
        }
        let new = Feeder { worker, next: bucket };
        if self.first.is_none() {
            self.first = Some(new);
        } else {
            self.rest.push(new);
        }
    }

    /// A look at the first, for whoever wants it fetched: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u64 {
        self.first.map_or(0, |first| first.next.cast_unsigned())
    }

    /// Whether nobody feeds it.
    pub(super) fn are_none(&self) -> bool {
        self.first.is_none()
    }

    /// A worker feeds it no more.
    pub(super) fn forget(&mut self, worker: usize) {
        self.rest.retain(|feeder| feeder.worker != worker);
        if self.first.is_some_and(|feeder| feeder.worker == worker) {
            self.first = self.rest.pop();
        }
    }

    /// A worker has told the buckets before this one, if it feeds.
    pub(super) fn tell_up_to(&mut self, worker: usize, next: i64) {
        if let Some(feeder) = self.iter_mut().find(|feeder| feeder.worker == worker) {
            feeder.next = next;
        }
    }

    /// As [`Feeders::tell_up_to`] of a worker that is the only one; whether it is.
    pub(super) fn tell_alone(&mut self, worker: usize, next: i64) -> bool {
        let only = self.first.as_mut().filter(|only| only.worker == worker && self.rest.is_empty());
        only.map(|only| only.next = next).is_some()
    }

    /// Whether all have told this bucket.
    pub(super) fn have_told(&self, bucket: i64) -> bool {
        self.first.iter().chain(&self.rest).all(|feeder| feeder.next > bucket)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Feeder> {
        self.first.iter_mut().chain(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Feeders;

    #[test]
    fn bucket_is_told_when_all_that_feed_have_told_it() {
        let mut feeders = Feeders::default();
        assert!(feeders.have_told(41) && feeders.are_none(), "nobody is waited for");
        for (worker, from) in [(0, 43), (2, 40), (1, 41), (2, 42)] {
            feeders.expect_from(worker, from);
        }
        assert!(feeders.have_told(39) && !feeders.have_told(40), "it feeds from the earlier of two");
        feeders.tell_up_to(2, 42);
        assert!(feeders.have_told(40) && !feeders.have_told(41));
        feeders.tell_up_to(7, 50);
        assert!(!feeders.have_told(41), "who does not feed tells nothing");
        // The first goes, and one of the others takes its place.
        feeders.forget(0);
        feeders.tell_up_to(1, 44);
        assert!(feeders.have_told(41) && !feeders.have_told(42));
        assert!(!feeders.tell_alone(1, 45), "another feeds, too");
        feeders.forget(2);
        assert!(!feeders.tell_alone(2, 45) && feeders.tell_alone(1, 44), "the one that is left is the only one");
        assert!(feeders.have_told(43) && !feeders.have_told(44));
        assert!(!feeders.are_none());
        feeders.forget(1);
        assert!(feeders.have_told(i64::MAX) && feeders.are_none());
    }
}
