//! Remote write 2.0, built by `prost` from the specification's own message.

mod against_prost;
mod bounds;
mod requests;
mod starts;

use super::*;

/// Version 2 as its specification has it, as far as it is stored. Symbols are bytes here, as texts are in version 1.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "4")]
    symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<Referring>,
}

#[derive(Clone, PartialEq, Message)]
struct Referring {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<proto::Histogram>,
}

impl Request {
    /// With the empty symbol that a request begins with.
    fn new() -> Request {
        Request { symbols: vec![Vec::new()], timeseries: Vec::new() }
    }

    /// The number of a symbol, which is added if it is not there yet.
    fn reference(&mut self, text: &str) -> u32 {
        let known = self.symbols.iter().position(|symbol| symbol == text.as_bytes());
        let index = known.unwrap_or_else(|| {
            self.symbols.push(text.into());
            self.symbols.len() - 1
        });
        u32::try_from(index).expect("tests have few symbols")
    }

    fn references(&mut self, labels: &[(&str, &str)]) -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [self.reference(name), self.reference(value)]).collect()
    }

    /// Adds a series with samples of these times and values.
    fn with(mut self, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Request {
        let labels_refs = self.references(labels);
        self.timeseries.push(Referring { labels_refs, samples: series(&[], samples).samples, histograms: Vec::new() });
        self
    }

    /// Adds the good neighbour of whatever a test sends.
    fn with_neighbour(self) -> Request {
        self.with(&[("__name__", "neighbour")], &[(NOW_MS, 7.0)])
    }
}

/// A field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).expect("a Vec has room");
    bytes.extend_from_slice(content);
    bytes
}

impl Fixture {
    fn send_v2_message(&self, message: &[u8]) -> Result<Written, IngestError> {
        let head = WriteHead {
            content_type: Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"),
            content_encoding: Some("snappy"),
            version: Some("2.0.0"),
        };
        self.runtime.block_on(self.ingest.remote_write(head, compressed(message)))
    }

    fn send_v2(&self, request: &Request) -> Result<Written, IngestError> {
        self.send_v2_message(&request.encode_to_vec())
    }
}
