//! A body as it was sent becomes the bytes it stands for, with a limit on what comes out.

use std::borrow::Cow;
use std::io::Read;

use super::{IngestError, snappy};

/// Inflates a body by its `Content-Encoding`: none, `identity`, `gzip`, `zstd`, `snappy` (block format).
///
/// What comes out is bounded, not the ratio: a reader stops at the byte after the limit.
pub(super) fn inflate<'a>(
    body: &'a [u8],
    encoding: Option<&str>,
    decoded_bytes_max: usize,
) -> Result<Cow<'a, [u8]>, IngestError> {
    match encoding.map(str::trim).unwrap_or("").to_ascii_lowercase().as_str() {
        "" | "identity" => within(body.len(), decoded_bytes_max).map(|()| Cow::Borrowed(body)),
        "gzip" | "x-gzip" => read("gzip", flate2::read::MultiGzDecoder::new(body), decoded_bytes_max),
        "zstd" => {
            let broken = |error: std::io::Error| IngestError::Malformed(format!("the body is not zstd: {error}"));
            let mut decoder = zstd::stream::read::Decoder::new(body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read("zstd", decoder, decoded_bytes_max)
        }
        "snappy" => {
            let decoded_bytes = snappy::decoded_bytes(body, decoded_bytes_max)?;
            let mut inflated = Vec::new();
            snappy::inflate(body, decoded_bytes, &mut inflated)?;
            Ok(Cow::Owned(inflated))
        }
        other => Err(IngestError::Unsupported(format!(
            "Content-Encoding {other:?} is not read; send gzip, zstd, snappy or none"
        ))),
    }
}

/// Windows of 8 MiB at most, which every level up to 19 keeps to.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

fn read<'a>(name: &str, reader: impl Read, decoded_bytes_max: usize) -> Result<Cow<'a, [u8]>, IngestError> {
    let mut inflated = Vec::new();
    let taken = reader.take(decoded_bytes_max as u64 + 1).read_to_end(&mut inflated);
    taken.map_err(|error| IngestError::Malformed(format!("the body is not {name}: {error}")))?;
    within(inflated.len(), decoded_bytes_max)?;
    Ok(Cow::Owned(inflated))
}

fn within(bytes: usize, decoded_bytes_max: usize) -> Result<(), IngestError> {
    if bytes > decoded_bytes_max {
        let setting = "request_decoded_bytes_max";
        let what = format!("the body inflates to more than limits.{setting} = {decoded_bytes_max} bytes");
        return Err(IngestError::TooLarge { setting, what });
    }
    Ok(())
}
