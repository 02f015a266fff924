//! The snappy block format, with the declared length checked before anything is reserved for it.

use super::IngestError;

/// A copy yields at most this many bytes for its two.
const AMPLIFICATION_MAX: usize = 64 / 2 + 1;

/// The length that the body says it will have.
/// Fails when that is over the limit, or more than so few bytes can make.
pub(super) fn decoded_bytes(body: &[u8], decoded_bytes_max: usize) -> Result<usize, IngestError> {
    let malformed = |what: String| IngestError::Malformed(format!("the body is not a snappy block: {what}"));
    let decoded = snap::raw::decompress_len(body).map_err(|error| malformed(error.to_string()))?;
    if decoded > decoded_bytes_max {
        let setting = "request_decoded_bytes_max";
        let what = format!("the body inflates to {decoded} bytes, more than limits.{setting} = {decoded_bytes_max}");
        return Err(IngestError::TooLarge { setting, what });
    }
    if decoded > body.len().saturating_mul(AMPLIFICATION_MAX) {
        return Err(malformed(format!("{} bytes cannot inflate to the declared {decoded}", body.len())));
    }
    Ok(decoded)
}

/// Inflates the body into `inflated`, whose memory is used again from request to request.
pub(super) fn inflate(body: &[u8], decoded_bytes: usize, inflated: &mut Vec<u8>) -> Result<(), IngestError> {
    inflated.resize(decoded_bytes, 0);
    let malformed = |error| {
        let at = broken_at(body, decoded_bytes);
        IngestError::Malformed(format!("the body is not a snappy block: byte {at}: {error}"))
    };
    let written = snap::raw::Decoder::new().decompress(body, inflated).map_err(malformed)?;
    inflated.truncate(written);
    Ok(())
}

/// Where in the body the element begins that cannot be; the body's length when there is too little of it.
/// Walked only after a failure: the decoder's own errors count from the beginning of what came out.
fn broken_at(body: &[u8], decoded_bytes: usize) -> usize {
    let mut at = body.iter().position(|byte| *byte < 0x80).map_or(body.len(), |last| last + 1);
    let mut produced = 0;
    while let Some(element) = body.get(at..).and_then(element) {
        produced += element.yields;
        if element.reaches_back > produced - element.yields || produced > decoded_bytes {
            return at;
        }
        at += element.bytes;
    }
    at
}

/// A literal, or a copy of what came out before.
struct Element {
    /// In the body.
    bytes: usize,
    yields: usize,
    /// 0 for a literal.
    reaches_back: usize,
}

/// Reads the element that begins here; `None` when it is cut short or copies from nowhere.
fn element(body: &[u8]) -> Option<Element> {
    let tag = usize::from(*body.first()?);
    let number = |count: usize| {
        let bytes = body.get(1..1 + count)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    if tag & 3 == 0 {
        let length_bytes = (tag >> 2).saturating_sub(59);
        let yields = if length_bytes == 0 { tag >> 2 } else { number(length_bytes)? } + 1;
        let bytes = 1 + length_bytes + yields;
        return (bytes <= body.len()).then_some(Element { bytes, yields, reaches_back: 0 });
    }
    let (offset_bytes, yields, high) = match tag & 3 {
        1 => (1, 4 + (tag >> 2 & 7), tag >> 5 << 8),
        2 => (2, 1 + (tag >> 2), 0),
        _ => (4, 1 + (tag >> 2), 0),
    };
    let reaches_back = high | number(offset_bytes)?;
    (reaches_back > 0).then_some(Element { bytes: 1 + offset_bytes, yields, reaches_back })
}
