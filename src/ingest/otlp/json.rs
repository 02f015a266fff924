//! A request in JSON becomes the same request in protobuf, which then goes the one way that all go.
//!
//! ```text
//! {"resourceMetrics":[{"resource":{…}}]}  ─►  0a 8b 80 80 80 00  0a …
//! ```
//!
//! A table says for each message which key is which field, and of what type. A message's length stands before its
//! content and is known after it: five bytes are kept free for it, and a number that is shorter is written as long.
//!
//! As OpenTelemetry has it: numbers of 64 bits may be texts, enums are numbers (names are read too), keys that nobody
//! knows are stepped over, `null` is as if it were not there. Exemplars are not in the table, as nothing reads them.
//!
//! Always true: what comes out is at most five times as long as what went in, and lies no deeper.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ingest::IngestError;
use crate::ingest::protobuf::{append_bytes, append_fixed64, append_number};

/// The type of a field.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Base64,
    Bool,
    Double,
    /// Eight bytes, without a sign.
    Fixed64,
    /// Eight bytes, with a sign.
    SignedFixed64,
    /// As many bytes as it takes.
    Varint,
    /// The same, without a sign.
    Unsigned,
    /// The same, of 32 bits with a sign that takes the lowest one.
    Zigzag32,
    /// The same, of one of these names, the first of which is 0.
    Enum(&'static [&'static str]),
    Message(&'static [Field]),
}

struct Field {
    key: &'static str,
    number: u8,
    is_list: bool,
    kind: Kind,
}

const fn one(key: &'static str, number: u8, kind: Kind) -> Field {
    Field { key, number, is_list: false, kind }
}

const fn list(key: &'static str, number: u8, kind: Kind) -> Field {
    Field { key, number, is_list: true, kind }
}

static REQUEST: [Field; 1] = [list("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))];
static RESOURCE_METRICS: [Field; 3] = [
    one("resource", 1, Kind::Message(&RESOURCE)),
    list("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
    one("schemaUrl", 3, Kind::Text),
];
static RESOURCE: [Field; 1] = [list("attributes", 1, Kind::Message(&KEY_VALUE))];
static SCOPE_METRICS: [Field; 3] = [
    one("scope", 1, Kind::Message(&SCOPE)),
    list("metrics", 2, Kind::Message(&METRIC)),
    one("schemaUrl", 3, Kind::Text),
];
static SCOPE: [Field; 3] =
    [one("name", 1, Kind::Text), one("version", 2, Kind::Text), list("attributes", 3, Kind::Message(&KEY_VALUE))];
static METRIC: [Field; 8] = [
    one("name", 1, Kind::Text),
    one("description", 2, Kind::Text),
    one("unit", 3, Kind::Text),
    one("gauge", 5, Kind::Message(&GAUGE)),
    one("sum", 7, Kind::Message(&SUM)),
    one("histogram", 9, Kind::Message(&HISTOGRAM)),
    one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
    one("summary", 11, Kind::Message(&SUMMARY)),
];
static TEMPORALITY: [&str; 3] =
    ["AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"];
static GAUGE: [Field; 1] = [list("dataPoints", 1, Kind::Message(&NUMBER_POINT))];
static SUM: [Field; 3] = [
    list("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(&TEMPORALITY)),
    one("isMonotonic", 3, Kind::Bool),
];
static HISTOGRAM: [Field; 2] = [
    list("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(&TEMPORALITY)),
];
static EXPONENTIAL_HISTOGRAM: [Field; 2] = [
    list("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(&TEMPORALITY)),
];
static EXPONENTIAL_POINT: [Field; 11] = [
    list("attributes", 1, Kind::Message(&KEY_VALUE)),
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    one("scale", 6, Kind::Zigzag32),
    one("zeroCount", 7, Kind::Fixed64),
    one("positive", 8, Kind::Message(&BUCKETS)),
    one("negative", 9, Kind::Message(&BUCKETS)),
    one("flags", 10, Kind::Varint),
    one("zeroThreshold", 14, Kind::Double),
];
static BUCKETS: [Field; 2] = [one("offset", 1, Kind::Zigzag32), list("bucketCounts", 2, Kind::Unsigned)];
static SUMMARY: [Field; 1] = [list("dataPoints", 1, Kind::Message(&SUMMARY_POINT))];
static NUMBER_POINT: [Field; 6] = [
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("asDouble", 4, Kind::Double),
    one("asInt", 6, Kind::SignedFixed64),
    list("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Varint),
];
static HISTOGRAM_POINT: [Field; 8] = [
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    list("bucketCounts", 6, Kind::Fixed64),
    list("explicitBounds", 7, Kind::Double),
    list("attributes", 9, Kind::Message(&KEY_VALUE)),
    one("flags", 10, Kind::Varint),
];
static SUMMARY_POINT: [Field; 7] = [
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    list("quantileValues", 6, Kind::Message(&QUANTILE)),
    list("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Varint),
];
static QUANTILE: [Field; 2] = [one("quantile", 1, Kind::Double), one("value", 2, Kind::Double)];
static KEY_VALUE: [Field; 2] = [one("key", 1, Kind::Text), one("value", 2, Kind::Message(&ANY_VALUE))];
static ANY_VALUE: [Field; 7] = [
    one("stringValue", 1, Kind::Text),
    one("boolValue", 2, Kind::Bool),
    one("intValue", 3, Kind::Varint),
    one("doubleValue", 4, Kind::Double),
    one("arrayValue", 5, Kind::Message(&LIST_VALUE)),
    one("kvlistValue", 6, Kind::Message(&MAP_VALUE)),
    one("bytesValue", 7, Kind::Base64),
];
static LIST_VALUE: [Field; 1] = [list("values", 1, Kind::Message(&ANY_VALUE))];
static MAP_VALUE: [Field; 1] = [list("values", 1, Kind::Message(&KEY_VALUE))];

/// The request of `body` in protobuf.
pub(in crate::ingest) fn to_protobuf(body: &[u8]) -> Result<Vec<u8>, IngestError> {
    let mut out = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Content { fields: &REQUEST, out: &mut out }.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| {
        IngestError::Malformed(format!("the body is not an ExportMetricsServiceRequest in JSON: {error}"))
    })?;
    Ok(out)
}

/// Bytes kept free for the length of a message: enough for any body that memory holds.
const LENGTH_BYTES: usize = 5;

/// A message: its fields, one behind the other.
struct Content<'o> {
    fields: &'static [Field],
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key_seed(KeyOf(self.fields))? {
            match key {
                Some(field) => map.next_value_seed(FieldValue { field, in_list: false, out: self.out })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the field of a key without keeping the key.
struct KeyOf(&'static [Field]);
struct Key(Option<&'static Field>);

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(Key(self.0.iter().find(|field| field.key == key)))
    }
}

/// The value of a field, or one of its list.
struct FieldValue<'o> {
    field: &'static Field,
    in_list: bool,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl FieldValue<'_> {
    fn fixed64(self, bits: u64) {
        append_fixed64(self.out, self.field.number, bits);
    }

    fn varint(self, number: u64) {
        append_number(self.out, self.field.number, number);
    }

    fn bytes(self, bytes: &[u8]) {
        append_bytes(self.out, self.field.number, bytes);
    }

    /// A whole number, wherever it stood: as a number or in a text.
    fn whole<E: Error>(self, number: i128) -> Result<(), E> {
        let unsigned = u64::try_from(number);
        let signed = i64::try_from(number);
        match (self.field.kind, unsigned, signed) {
            (Kind::Double, ..) => self.fixed64((number as f64).to_bits()),
            (Kind::Fixed64, Ok(number), _) => self.fixed64(number),
            (Kind::SignedFixed64, _, Ok(number)) => self.fixed64(number as u64),
            (Kind::Varint | Kind::Enum(_), _, Ok(number)) => self.varint(number as u64),
            (Kind::Unsigned, Ok(number), _) => self.varint(number),
            (Kind::Zigzag32, _, Ok(number)) if i32::try_from(number).is_ok() => {
                self.varint((number << 1 ^ number >> 63) as u64);
            }
            _ => return Err(self.wrong(&number)),
        }
        Ok(())
    }

    fn wrong<E: Error>(&self, found: &dyn fmt::Display) -> E {
        E::custom(format!("{:?}: {found} is not what stands there", self.field.key))
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value of {:?}", self.field.key)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => self.varint(u64::from(flag)),
            _ => return Err(self.wrong(&flag)),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                self.fixed64(number.to_bits());
                Ok(())
            }
            // `1e3` and `5.0` are whole numbers too; every whole one of these lies within 128 bits.
            _ if number.fract() == 0.0 && number.abs() < 1e20 => self.whole(number as i128),
            _ => Err(self.wrong(&number)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.field.kind {
            Kind::Text => self.bytes(text.as_bytes()),
            Kind::Base64 => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => self.bytes(&bytes),
                Err(error) => return Err(self.wrong(&error)),
            },
            Kind::Double => match text {
                "NaN" => self.fixed64(f64::NAN.to_bits()),
                "Infinity" => self.fixed64(f64::INFINITY.to_bits()),
                "-Infinity" => self.fixed64(f64::NEG_INFINITY.to_bits()),
                _ => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => self.fixed64(number.to_bits()),
                    _ => return Err(self.wrong(&format_args!("{text:?}"))),
                },
            },
            Kind::Enum(names) => match names.iter().position(|name| *name == text) {
                Some(number) => self.varint(number as u64),
                None => return Err(self.wrong(&format_args!("{text:?}"))),
            },
            Kind::Fixed64 | Kind::SignedFixed64 | Kind::Varint | Kind::Unsigned | Kind::Zigzag32 => {
                match text.parse::<i128>() {
                    Ok(number) => return self.whole(number),
                    Err(_) => return Err(self.wrong(&format_args!("{text:?}"))),
                }
            }
            Kind::Bool | Kind::Message(_) => return Err(self.wrong(&format_args!("{text:?}"))),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.field.is_list || self.in_list {
            return Err(self.wrong(&"a list"));
        }
        while list.next_element_seed(FieldValue { field: self.field, in_list: true, out: self.out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(fields) = self.field.kind else { return Err(self.wrong(&"an object")) };
        if self.field.is_list && !self.in_list {
            return Err(self.wrong(&"an object, where a list of them belongs,"));
        }
        self.out.push(self.field.number << 3 | 2);
        let start = self.out.len() + LENGTH_BYTES;
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        Content { fields, out: self.out }.visit_map(map)?;
        let length = self.out.len() - start;
        assert!(length >> (7 * LENGTH_BYTES) == 0, "a message of {length} bytes from a bounded body");
        for (index, byte) in self.out[start - LENGTH_BYTES..start].iter_mut().enumerate() {
            let is_last = index + 1 == LENGTH_BYTES;
            *byte = (length >> (7 * index)) as u8 & 0x7f | if is_last { 0 } else { 0x80 };
        }
        Ok(())
    }
}
