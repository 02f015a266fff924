//! A histogram as people and programs read it.

use std::fmt::{self, Display, Formatter, Write};

use super::{Bucket, FloatHistogram};
use crate::model::format_general;

impl Display for Bucket {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_char(if self.lower_inclusive { '[' } else { '(' })?;
        write!(out, "{},{}", format_general(self.lower), format_general(self.upper))?;
        out.write_char(if self.upper_inclusive { ']' } else { ')' })?;
        write!(out, ":{}", format_general(self.count))
    }
}

/// As Prometheus writes it: `{count:2, sum:3, (1,2]:2}`, populated buckets with values ascending.
impl Display for FloatHistogram {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{{count:{}, sum:{}", format_general(self.count), format_general(self.sum))?;
        let below: Vec<Bucket> = self.negative_buckets().filter(is_populated).collect();
        for bucket in below.iter().rev() {
            write!(out, ", {bucket}")?;
        }
        if self.zero_count != 0.0 && !self.has_custom_buckets() {
            write!(out, ", {}", self.zero_bucket())?;
        }
        for bucket in self.positive_buckets().filter(is_populated) {
            write!(out, ", {bucket}")?;
        }
        out.write_char('}')
    }
}

impl FloatHistogram {
    /// Appends the object of Prometheus's JSON: `{"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}`, without
    /// `buckets` when none is populated. `write_number` appends a number without its quotes.
    pub fn write_json(&self, out: &mut String, write_number: impl Fn(&mut String, f64)) {
        let quoted = |out: &mut String, number: f64| {
            out.push('"');
            write_number(out, number);
            out.push('"');
        };
        out.push_str("{\"count\":");
        quoted(out, self.count);
        out.push_str(",\"sum\":");
        quoted(out, self.sum);
        let mut opening = ",\"buckets\":[";
        for bucket in self.buckets().filter(is_populated) {
            out.push_str(opening);
            opening = ",";
            out.push('[');
            out.push(char::from(b'0' + bucket.boundary_rule()));
            for number in [bucket.lower, bucket.upper, bucket.count] {
                out.push(',');
                quoted(out, number);
            }
            out.push(']');
        }
        out.push_str(if opening == "," { "]}" } else { "}" });
    }
}

fn is_populated(bucket: &Bucket) -> bool {
    bucket.count != 0.0
}
