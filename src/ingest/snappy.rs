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
        return Err(IngestError::TooLarge(format!(
            "the body inflates to {decoded} bytes, more than limits.request_decoded_bytes_max = {decoded_bytes_max}"
        )));
    }
    if decoded > body.len().saturating_mul(AMPLIFICATION_MAX) {
        return Err(malformed(format!("{} bytes cannot inflate to the declared {decoded}", body.len())));
    }
    Ok(decoded)
}

/// Inflates the body into `inflated`, whose memory is used again from request to request.
pub(super) fn inflate(body: &[u8], decoded_bytes: usize, inflated: &mut Vec<u8>) -> Result<(), IngestError> {
    inflated.resize(decoded_bytes, 0);
    let malformed = |error| IngestError::Malformed(format!("the body is not a snappy block: {error}"));
    let written = snap::raw::Decoder::new().decompress(body, inflated).map_err(malformed)?;
    inflated.truncate(written);
    Ok(())
}
