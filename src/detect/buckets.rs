//! How long the buckets of a signal are.
//!
//! `[1m]` makes four buckets of 15 s, `[20s]` four of 5 s, `[5m]` twenty of 15 s. `[1m]` beside `[100s]` makes buckets of
//! 10 s: the longest of which both are multiples.
//!
//! Always true: a bucket lasts 5 to 15 s, and each range is a whole number of them, but for less than a millisecond a
//! bucket.

/// Longest and shortest bucket, in ms.
const BUCKET_MS_MAX: i64 = 15_000;
pub(super) const BUCKET_MS_MIN: i64 = 5_000;
/// Buckets of a window, where the range leaves the choice.
const WINDOW_BUCKETS: i64 = 4;

/// The longest bucket of which all ranges are multiples, but for rounding.
pub(super) fn bucket_ms(ranges_ms: &[i64]) -> Option<i64> {
    let Some(&shortest_ms) = ranges_ms.iter().min() else { return Some(BUCKET_MS_MAX) };
    let fits = |bucket_ms: i64| ranges_ms.iter().all(|&range_ms| is_multiple(range_ms, bucket_ms));
    (window_buckets(shortest_ms)..=(shortest_ms / BUCKET_MS_MIN).max(1))
        .map(|count| shortest_ms / count)
        .find(|&bucket_ms| fits(bucket_ms))
}

fn is_multiple(range_ms: i64, bucket_ms: i64) -> bool {
    let count = buckets_of(range_ms, bucket_ms);
    (range_ms - count * bucket_ms).abs() < count
}

/// How many buckets come closest to a range.
pub(super) fn buckets_of(range_ms: i64, bucket_ms: i64) -> i64 {
    (range_ms + bucket_ms / 2) / bucket_ms
}

/// Four where the range allows buckets of 5 to 15 s, else as many as keep them within those.
fn window_buckets(range_ms: i64) -> i64 {
    let fewest = (range_ms + BUCKET_MS_MAX - 1) / BUCKET_MS_MAX;
    fewest.max(WINDOW_BUCKETS.min(range_ms / BUCKET_MS_MIN)).max(1)
}
