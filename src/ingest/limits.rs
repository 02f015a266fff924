//! What bounds a request.

/// What bounds a request, whatever it is written in.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Bytes of a body as it is sent (setting `limits.request_bytes_max`).
    pub request_bytes_max: usize,
    /// Bytes of a body after it is inflated (setting `limits.request_decoded_bytes_max`).
    pub request_decoded_bytes_max: usize,
    /// Series in one request (setting `limits.series_per_request_max`).
    pub series_per_request_max: usize,
    /// Samples in one request (setting `limits.samples_per_request_max`).
    pub samples_per_request_max: usize,
    /// Inflated bytes of all requests under way together.
    pub bytes_in_flight_max: usize,
}

impl Default for IngestLimits {
    fn default() -> IngestLimits {
        IngestLimits {
            request_bytes_max: 16 << 20,
            request_decoded_bytes_max: 32 << 20,
            series_per_request_max: 100_000,
            samples_per_request_max: 1_000_000,
            bytes_in_flight_max: 256 << 20,
        }
    }
}
