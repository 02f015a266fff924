//! Samples as lines of JSON, in the form of VictoriaMetrics's `/api/v1/import` and `/api/v1/export`.
//!
//! ```text
//! {"metric":{"__name__":"up","job":"shop"},"values":[1,0.5,null],"timestamps":[1000,2000,3000]}
//! ```
//!
//! A line is one series or a part of it; timestamps are in ms since 1970. A value is a number, or one of
//!
//! | written | read also as | means |
//! | --- | --- | --- |
//! | `"Infinity"`, `"-Infinity"` | `Inf`, `-Inf`, `infinity`, bare or as a string | ± infinity |
//! | `null` | `NaN`, `nan`, `"null"` | not a number: bits `7ff8000000000001`, Prometheus's ordinary one |
//!
//! Not every NaN is that one: the staleness marker, above all, has bits of its own. A line that holds another one names the
//! bits of all of its NaNs, in their order, in a field of ours that VictoriaMetrics passes over:
//!
//! ```text
//! {"metric":{"__name__":"up"},"values":[1,null],"timestamps":[1000,2000],"nan_bits":["7ff0000000000002"]}
//! ```
//!
//! Always true:
//! 1. What [`append_line`] writes, [`JsonLine::read`] gives back bit for bit.
//! 2. A line that cannot be read is refused alone, by its number; the others are stored.

mod read;
mod write;

use bytes::Bytes;

pub use read::{JsonLine, JsonLineError};
pub use write::{append_left_out, append_line};

use super::rows::{RowsBuilder, over};
use super::{Ingest, IngestError, Written};

/// The ordinary NaN, as Prometheus and Go have it.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;
/// Our field of NaN bits.
const NAN_BITS: &str = "nan_bits";
/// Our field that says what an export had to leave out.
const LEFT_OUT: &str = "left_out";

impl Ingest {
    /// Takes JSON lines. The `extra` labels are put to each series, in place of its own of the same name.
    pub async fn json_lines(
        &self,
        body: Bytes,
        encoding: Option<&str>,
        extra: &[(String, String)],
    ) -> Result<Written, IngestError> {
        let samples_max = self.limits.samples_per_request_max;
        self.take_rows(body, encoding, |bytes, rows| read_lines(bytes, rows, extra, samples_max)).await
    }
}

/// Reads all lines; empty ones are none.
pub(super) fn read_lines(
    body: &[u8],
    rows: &mut RowsBuilder<'_>,
    extra: &[(String, String)],
    samples_max: usize,
) -> Result<(), IngestError> {
    let mut line = JsonLine::default();
    for (index, text) in body.split(|byte| *byte == b'\n').enumerate() {
        match line.read(text, samples_max) {
            Ok(()) => take(&line, rows, extra)?,
            Err(JsonLineError::Empty) => {}
            Err(JsonLineError::TooManySamples) => {
                return Err(over("samples", samples_max, "samples_per_request_max"));
            }
            Err(JsonLineError::Malformed { at, what }) => {
                rows.refuse(1, what, || format!("line {} at byte {at}", index + 1));
            }
        }
    }
    Ok(())
}

fn take(line: &JsonLine, rows: &mut RowsBuilder<'_>, extra: &[(String, String)]) -> Result<(), IngestError> {
    let is_replaced = |name: &str| extra.iter().any(|(other, _)| other == name);
    let own = line.labels().filter(|(name, _)| !is_replaced(name));
    let series = rows.series(own.chain(extra.iter().map(|(name, value)| (name.as_str(), value.as_str()))))?;
    for (timestamp_ms, value) in line.samples() {
        rows.sample(series, timestamp_ms, value)?;
    }
    Ok(())
}
