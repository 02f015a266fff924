//! What one series had in each bucket of a window, where that cannot be told from the sums of its group.
//!
//! `avg by (node) (max_over_time(temperature[1m]))`: the largest value of each sensor in the minute, which is not the
//! largest of their sums. Samples 61, 64 and 60 in one bucket and 59 in the next are kept as two digests; the minute's
//! largest is 64 as long as the first bucket is one of its four.
//!
//! Always true: a bucket's digest is kept for as many buckets as the window has, whatever lies between.

use super::signal::OverTime;

/// The digests of the latest buckets of one series.
#[derive(Debug)]
pub(crate) struct Window {
    /// By the bucket's number modulo their count.
    digests: Box<[Digest]>,
}

/// What the samples of one bucket come to.
#[derive(Clone, Copy, Debug)]
struct Digest {
    bucket: i64,
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
}

impl Digest {
    fn empty(bucket: i64) -> Digest {
        Digest { bucket, count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, last: f64::NAN }
    }
}

impl Window {
    /// Of so many buckets, at least one.
    pub(crate) fn new(buckets: usize) -> Window {
        Window { digests: vec![Digest::empty(i64::MIN); buckets].into_boxed_slice() }
    }

    /// Takes in a value of a bucket that is not older than the one before.
    pub(crate) fn push(&mut self, bucket: i64, value: f64) {
        let index = self.index(bucket);
        let digest = &mut self.digests[index];
        if digest.bucket != bucket {
            *digest = Digest::empty(bucket);
        }
        digest.count += 1.0;
        digest.sum += value;
        digest.min = digest.min.min(value);
        digest.max = digest.max.max(value);
        digest.last = value;
    }

    /// What the window that ends with this bucket comes to; none when it is empty.
    pub(crate) fn value(&self, over: OverTime, bucket: i64) -> Option<f64> {
        let mut whole = Digest::empty(bucket);
        let first = bucket - self.digests.len() as i64 + 1;
        for number in first..=bucket {
            let digest = &self.digests[self.index(number)];
            if digest.bucket == number {
                whole.count += digest.count;
                whole.sum += digest.sum;
                whole.min = whole.min.min(digest.min);
                whole.max = whole.max.max(digest.max);
                whole.last = digest.last;
            }
        }
        let value = match over {
            OverTime::Avg => whole.sum / whole.count,
            OverTime::Min => whole.min,
            OverTime::Max => whole.max,
            OverTime::Sum => whole.sum,
            OverTime::Count => whole.count,
            OverTime::Last => whole.last,
        };
        (whole.count > 0.0).then_some(value)
    }

    fn index(&self, bucket: i64) -> usize {
        usize::try_from(bucket.rem_euclid(self.digests.len() as i64)).expect("a remainder is not negative")
    }
}
