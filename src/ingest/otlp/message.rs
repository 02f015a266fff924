//! The messages of OpenTelemetry's metrics protocol, read in place: what is not needed is stepped over, and nothing is
//! allocated for what stands in them.
//!
//! ```text
//! ExportMetricsServiceRequest ─► ResourceMetrics ─► ScopeMetrics ─► Metric ─► Sum ─► NumberDataPoint ─► KeyValue
//! ```
//!
//! Thirty-two mebibytes of empty messages would become gigabytes of structures; here a message is a slice until it is
//! its turn.
//!
//! Where this differs from a generated decoder: exemplars, a scope that is not told, and what is refused already, are
//! not looked into; a message that may stand once and stands twice is refused, not merged; a text that is not UTF-8
//! costs its point alone.

use crate::ingest::wire::{Fields, Value, WireError};

/// Why a message, or one point of it, cannot be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// These are not the bytes of such a message.
    Wire(WireError),
    /// They are, but what they say cannot be stored.
    Refused(String),
}

impl From<WireError> for Broken {
    fn from(error: WireError) -> Broken {
        Broken::Wire(error)
    }
}

/// What a metric has.
#[derive(Clone, Copy)]
pub(super) enum Data<'a> {
    Gauge(Fields<'a>),
    Sum(Fields<'a>),
    Histogram(Fields<'a>),
    ExponentialHistogram(Fields<'a>),
    Summary(Fields<'a>),
}

/// How the points of a metric follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporality {
    Delta,
    Cumulative,
    Unknown,
}

/// A metric, its points unread.
pub(super) struct Metric<'a> {
    pub(super) name: &'a [u8],
    pub(super) description: &'a [u8],
    pub(super) unit: &'a [u8],
    pub(super) data: Option<Data<'a>>,
}

/// What every point has, whatever its kind.
#[derive(Clone, Copy, Default)]
pub(super) struct PointHead {
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    /// Says that there is no value at this time: the series has ended.
    pub(super) is_stale: bool,
}

/// A point of a gauge or a sum.
pub(super) struct NumberPoint {
    pub(super) head: PointHead,
    pub(super) value: Option<f64>,
}

/// What a point of a histogram or a summary has beside its buckets or quantiles.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) head: PointHead,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
}

/// A key and its value, an `AnyValue`.
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<Fields<'a>>,
}

pub(super) const WRONG_TYPE: &str = "a value of another type than its field has";

/// Whether a field is the message of this number; fails when it has the number and is none.
pub(super) fn is_message(number: u32, wanted: u32, value: Value<'_>, of: &Fields<'_>) -> Result<bool, WireError> {
    match (number == wanted, value) {
        (false, _) => Ok(false),
        (true, Value::Bytes(_)) => Ok(true),
        (true, _) => Err(of.error(WRONG_TYPE)),
    }
}

/// The message that was just read as a field of another.
pub(super) fn child<'a>(value: Value<'a>, of: &Fields<'a>) -> Fields<'a> {
    let Value::Bytes(bytes) = value else { return Fields::new(&[], of.base() + of.position()) };
    Fields::new(bytes, of.base() + of.position() - bytes.len())
}

/// Calls `each` with every message of this field number.
pub(super) fn each_message<'a, E: From<WireError>>(
    mut message: Fields<'a>,
    wanted: u32,
    mut each: impl FnMut(Fields<'a>) -> Result<(), E>,
) -> Result<(), E> {
    while let Some((number, value)) = message.next()? {
        if is_message(number, wanted, value, &message)? {
            each(child(value, &message))?;
        }
    }
    Ok(())
}

/// The one message of this field number. Reads all of `message`, so that what is wrong anywhere in it shows.
pub(super) fn only_message(mut message: Fields<'_>, wanted: u32) -> Result<Option<Fields<'_>>, WireError> {
    let mut found = None;
    while let Some((number, value)) = message.next()? {
        if is_message(number, wanted, value, &message)? {
            set_once(&mut found, child(value, &message), &message)?;
        }
    }
    Ok(found)
}

pub(super) fn set_once<T>(place: &mut Option<T>, value: T, of: &Fields<'_>) -> Result<(), WireError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(of.error("a message for the second time where one may stand")),
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|_| Broken::Refused("a text is not UTF-8".to_owned()))
}

pub(super) fn bytes<'a>(value: Value<'a>, of: &Fields<'a>) -> Result<&'a [u8], WireError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(of.error(WRONG_TYPE)),
    }
}

pub(super) fn fixed64(value: Value<'_>, of: &Fields<'_>) -> Result<u64, WireError> {
    match value {
        Value::Fixed64(number) => Ok(number),
        _ => Err(of.error(WRONG_TYPE)),
    }
}

pub(super) fn varint(value: Value<'_>, of: &Fields<'_>) -> Result<u64, WireError> {
    match value {
        Value::Varint(number) => Ok(number),
        _ => Err(of.error(WRONG_TYPE)),
    }
}

/// Reads numbers of eight bytes: one, or packed many. Stops at `count_max` in all and says whether all fitted.
pub(super) fn append_fixed64(
    value: Value<'_>,
    of: &Fields<'_>,
    count_max: usize,
    mut append: impl FnMut(u64) -> usize,
) -> Result<bool, WireError> {
    match value {
        Value::Fixed64(number) => Ok(append(number) <= count_max),
        Value::Bytes(packed) => {
            let (numbers, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(of.error("packed numbers end within a number"));
            }
            Ok(numbers.iter().all(|number| append(u64::from_le_bytes(*number)) <= count_max))
        }
        _ => Err(of.error(WRONG_TYPE)),
    }
}

impl<'a> Metric<'a> {
    pub(super) fn read(mut message: Fields<'a>) -> Result<Metric<'a>, WireError> {
        let mut metric = Metric { name: b"", description: b"", unit: b"", data: None };
        while let Some((number, value)) = message.next()? {
            let data = match number {
                1 => {
                    metric.name = bytes(value, &message)?;
                    continue;
                }
                2 => {
                    metric.description = bytes(value, &message)?;
                    continue;
                }
                3 => {
                    metric.unit = bytes(value, &message)?;
                    continue;
                }
                5 => Data::Gauge,
                7 => Data::Sum,
                9 => Data::Histogram,
                10 => Data::ExponentialHistogram,
                11 => Data::Summary,
                _ => continue,
            };
            is_message(number, number, value, &message)?;
            set_once(&mut metric.data, data(child(value, &message)), &message)?;
        }
        Ok(metric)
    }
}

impl Data<'_> {
    /// The message that has the points, as its field 1.
    pub(super) fn points(&self) -> Fields<'_> {
        match *self {
            Data::Gauge(points)
            | Data::Sum(points)
            | Data::Histogram(points)
            | Data::ExponentialHistogram(points)
            | Data::Summary(points) => points,
        }
    }

    /// How many points there are.
    pub(super) fn point_count(&self) -> Result<u64, WireError> {
        let mut count = 0;
        each_message(self.points(), 1, |_| {
            count += 1;
            Ok::<_, WireError>(())
        })?;
        Ok(count)
    }
}

/// How the points of a sum or a histogram follow each other.
pub(super) fn read_temporality(mut message: Fields<'_>) -> Result<Temporality, WireError> {
    let mut read = Temporality::Unknown;
    while let Some((number, value)) = message.next()? {
        if number == 2 {
            // An enum is 32 bits wide; what is cut off is cut off by every decoder.
            read = match varint(value, &message)? as u32 {
                1 => Temporality::Delta,
                2 => Temporality::Cumulative,
                _ => Temporality::Unknown,
            };
        }
    }
    Ok(read)
}

/// Whether a sum only grows.
pub(super) fn read_monotonic(mut message: Fields<'_>) -> Result<bool, WireError> {
    let mut read = false;
    while let Some((number, value)) = message.next()? {
        if number == 3 {
            read = varint(value, &message)? != 0;
        }
    }
    Ok(read)
}

impl PointHead {
    /// Milliseconds since 1970 of the point.
    pub(super) fn time_ms(self) -> i64 {
        (self.time_ns / 1_000_000) as i64
    }

    /// Takes a field that stands for the same in every kind of point.
    pub(super) fn take(&mut self, number: u32, value: Value<'_>, flags: u32, of: &Fields<'_>) -> Result<(), WireError> {
        match number {
            2 => self.start_ns = fixed64(value, of)?,
            3 => self.time_ns = fixed64(value, of)?,
            _ if number == flags => self.is_stale = varint(value, of)? & 1 == 1,
            _ => {}
        }
        Ok(())
    }
}

impl NumberPoint {
    pub(super) const ATTRIBUTES: u32 = 7;

    pub(super) fn read(mut message: Fields<'_>) -> Result<NumberPoint, WireError> {
        let mut point = NumberPoint { head: PointHead::default(), value: None };
        while let Some((number, value)) = message.next()? {
            match number {
                4 => point.value = Some(f64::from_bits(fixed64(value, &message)?)),
                6 => point.value = Some(fixed64(value, &message)? as i64 as f64),
                _ => point.head.take(number, value, 8, &message)?,
            }
        }
        Ok(point)
    }
}

impl Totals {
    pub(super) const HISTOGRAM_ATTRIBUTES: u32 = 9;
    pub(super) const SUMMARY_ATTRIBUTES: u32 = 7;

    /// Reads a point of a histogram; `others` is called with the fields that are not read here.
    pub(super) fn read_histogram<'a>(
        message: Fields<'a>,
        others: impl FnMut(u32, Value<'a>, &Fields<'a>) -> Result<(), WireError>,
    ) -> Result<Totals, WireError> {
        Totals::read(message, 10, others)
    }

    /// As [`Totals::read_histogram`], of a summary, whose sum is 0 where it does not stand.
    pub(super) fn read_summary<'a>(
        message: Fields<'a>,
        others: impl FnMut(u32, Value<'a>, &Fields<'a>) -> Result<(), WireError>,
    ) -> Result<Totals, WireError> {
        let totals = Totals::read(message, 8, others)?;
        Ok(Totals { sum: Some(totals.sum.unwrap_or(0.0)), ..totals })
    }

    fn read<'a>(
        mut message: Fields<'a>,
        flags: u32,
        mut others: impl FnMut(u32, Value<'a>, &Fields<'a>) -> Result<(), WireError>,
    ) -> Result<Totals, WireError> {
        let mut totals = Totals::default();
        while let Some((number, value)) = message.next()? {
            match number {
                4 => totals.count = fixed64(value, &message)?,
                5 => totals.sum = Some(f64::from_bits(fixed64(value, &message)?)),
                2 | 3 => totals.head.take(number, value, flags, &message)?,
                _ if number == flags => totals.head.take(number, value, flags, &message)?,
                _ => others(number, value, &message)?,
            }
        }
        Ok(totals)
    }
}

impl<'a> KeyValue<'a> {
    pub(super) fn read(mut message: Fields<'a>) -> Result<KeyValue<'a>, Broken> {
        let (mut key, mut value_message): (&[u8], _) = (b"", None);
        while let Some((number, value)) = message.next()? {
            match number {
                1 => key = bytes(value, &message)?,
                2 => {
                    is_message(number, 2, value, &message)?;
                    set_once(&mut value_message, child(value, &message), &message)?;
                }
                _ => {}
            }
        }
        Ok(KeyValue { key: text(key)?, value: value_message })
    }
}

/// Numbers of a quantile of a summary: which, and its value.
pub(super) fn read_quantile(mut message: Fields<'_>) -> Result<(f64, f64), WireError> {
    let mut read = (0.0, 0.0);
    while let Some((number, value)) = message.next()? {
        match number {
            1 => read.0 = f64::from_bits(fixed64(value, &message)?),
            2 => read.1 = f64::from_bits(fixed64(value, &message)?),
            _ => {}
        }
    }
    Ok(read)
}
