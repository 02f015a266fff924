//! One measurement, the series it belongs to, and the spans of time that are asked for.

/// The bit pattern by which Prometheus marks "this series ended here". It is a NaN, so it is compared by bits, never
/// as a number, and moved as `u64` where arithmetic could quieten it.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The bits by which Prometheus writes a NaN that means nothing else.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The staleness marker as a value.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the staleness marker, and not just any NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A value at a moment: milliseconds since 1970 UTC, and 64 bits that come back exactly as they were given.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Any 64 bits, the staleness marker and other NaNs included.
    pub value: f64,
}

/// Names one series in one head: valid until the process ends, kept on disk only inside one log segment.
///
/// Layout, high bits first: shard (8), generation of the slot (24), slot (32). A slot is used again only under another
/// generation, so an old ref never means another series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

impl SeriesRef {
    /// Packs the three parts. `generation` uses its low 24 bits.
    pub fn new(shard: u8, generation: u32, slot: u32) -> SeriesRef {
        SeriesRef(u64::from(shard) << 56 | u64::from(generation & 0x00ff_ffff) << 32 | u64::from(slot))
    }

    /// Index of the shard that owns the series.
    pub fn shard(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// Which use of the slot is meant; 24 bits.
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & 0x00ff_ffff
    }

    /// Index of the series within its shard.
    pub fn slot(self) -> u32 {
        self.0 as u32
    }
}

impl From<SeriesRef> for u64 {
    fn from(series: SeriesRef) -> u64 {
        series.0
    }
}

/// A span of time with both ends included, in ms since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment that belongs to the span.
    pub from_ms: i64,
    /// Last moment that belongs to the span.
    pub to_ms: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { from_ms: i64::MIN, to_ms: i64::MAX };

    /// Whether the two spans share a moment.
    pub fn overlaps(self, other: TimeRange) -> bool {
        self.from_ms <= other.to_ms && other.from_ms <= self.to_ms
    }

    /// Whether the moment lies in the span.
    pub fn contains(self, timestamp_ms: i64) -> bool {
        self.from_ms <= timestamp_ms && timestamp_ms <= self.to_ms
    }
}
