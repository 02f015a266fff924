//! The same samples in each way that servers take them.
//!
//! What a series' labels become is worked out once, so that encoding costs the client little of the machine that it
//! shares with the server.

use std::collections::HashMap;

use bytes::Bytes;
use clap::ValueEnum;
use dozor::demo::{Content, Fed, RequestEncoder, SERIES_PER_NODE};
use dozor::ingest::{append_bytes, append_fixed64, append_number, append_varint};

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Remote write 1.0
    #[value(name = "1.0")]
    RemoteWrite1,
    /// Remote write 2.0
    #[value(name = "2.0")]
    RemoteWrite2,
    /// Prometheus's text with timestamps
    Text,
}

impl Protocol {
    /// The headers that announce it.
    pub(crate) fn content(self) -> Content {
        match self {
            Protocol::RemoteWrite1 => Content::RemoteWrite,
            Protocol::RemoteWrite2 => Content::RemoteWrite2,
            Protocol::Text => Content::Text,
        }
    }
}

/// One request under construction.
pub(crate) enum Encoder {
    RemoteWrite1(Box<RequestEncoder>),
    RemoteWrite2(SymbolEncoder),
    Text(TextEncoder),
}

impl Encoder {
    pub(crate) fn new(protocol: Protocol) -> Encoder {
        match protocol {
            Protocol::RemoteWrite1 => Encoder::RemoteWrite1(Box::default()),
            Protocol::RemoteWrite2 => Encoder::RemoteWrite2(SymbolEncoder::default()),
            Protocol::Text => Encoder::Text(TextEncoder::default()),
        }
    }

    /// Adds one sample.
    pub(crate) fn push(&mut self, fed: &Fed<'_>) {
        match self {
            Encoder::RemoteWrite1(encoder) => encoder.push(fed.label_bytes, fed.timestamp_ms, fed.value),
            Encoder::RemoteWrite2(encoder) => encoder.push(fed),
            Encoder::Text(encoder) => encoder.push(fed),
        }
    }

    /// The body of what was pushed since the last time.
    pub(crate) fn finish(&mut self) -> Bytes {
        match self {
            Encoder::RemoteWrite1(encoder) => Bytes::copy_from_slice(encoder.finish()),
            Encoder::RemoteWrite2(encoder) => encoder.finish(),
            Encoder::Text(encoder) => Bytes::from(std::mem::take(&mut encoder.text)),
        }
    }
}

/// What is known of each series, by its place in the fleet.
#[derive(Default)]
struct BySeries<T>(Vec<Option<T>>);

impl<T> BySeries<T> {
    fn of(&mut self, fed: &Fed<'_>, make: impl FnOnce() -> T) -> &T {
        let place = fed.node * SERIES_PER_NODE + fed.series;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        self.0[place].get_or_insert_with(make)
    }
}

/// `Request { symbols = 4, timeseries = 5 { labels_refs = 1, samples = 2 { value = 1, timestamp = 2 } } }`
#[derive(Default)]
pub(crate) struct SymbolEncoder {
    number_of: HashMap<Vec<u8>, u32>,
    texts: Vec<Vec<u8>>,
    numbers: BySeries<Vec<u32>>,
    /// By number of the text: the request that has it, and its ref there.
    refs: Vec<(u32, u32)>,
    request: u32,
    symbols: Vec<u8>,
    symbol_count: u32,
    series: Vec<u8>,
}

impl SymbolEncoder {
    fn push(&mut self, fed: &Fed<'_>) {
        if self.symbol_count == 0 {
            self.request += 1;
            self.symbols.extend_from_slice(&[0x22, 0]); // the first symbol is the empty one
            self.symbol_count = 1;
        }
        let (number_of, texts) = (&mut self.number_of, &mut self.texts);
        let numbers = self.numbers.of(fed, || {
            let mut number = |text: &[u8]| {
                *number_of.entry(text.to_vec()).or_insert_with(|| {
                    texts.push(text.to_vec());
                    texts.len() as u32 - 1
                })
            };
            pairs(fed.label_bytes).flat_map(|(name, value)| [name, value]).map(&mut number).collect()
        });
        self.refs.resize(self.texts.len(), (0, 0));
        let mut packed = Vec::with_capacity(3 * numbers.len());
        for number in numbers {
            let (request, symbol) = &mut self.refs[*number as usize];
            if *request != self.request {
                (*request, *symbol) = (self.request, self.symbol_count);
                self.symbol_count += 1;
                append_bytes(&mut self.symbols, 4, &self.texts[*number as usize]);
            }
            append_varint(&mut packed, u64::from(*symbol));
        }
        let mut sample = Vec::with_capacity(20);
        append_fixed64(&mut sample, 1, fed.value.to_bits());
        append_number(&mut sample, 2, fed.timestamp_ms as u64);
        let mut series = Vec::with_capacity(packed.len() + sample.len() + 6);
        append_bytes(&mut series, 1, &packed);
        append_bytes(&mut series, 2, &sample);
        append_bytes(&mut self.series, 5, &series);
    }

    fn finish(&mut self) -> Bytes {
        let mut message = std::mem::take(&mut self.symbols);
        message.append(&mut self.series);
        self.symbol_count = 0;
        let body = snap::raw::Encoder::new().compress_vec(&message);
        Bytes::from(body.expect("a message is far below 4 GiB"))
    }
}

#[derive(Default)]
pub(crate) struct TextEncoder {
    names: BySeries<String>,
    text: String,
}

impl TextEncoder {
    fn push(&mut self, fed: &Fed<'_>) {
        use std::fmt::Write;
        let name = self.names.of(fed, || {
            let text = |bytes| std::str::from_utf8(bytes).expect("the shop's labels are text");
            let pairs: Vec<(&str, &str)> =
                pairs(fed.label_bytes).map(|(name, value)| (text(name), text(value))).collect();
            let labels: Vec<String> = pairs[1..].iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            assert_eq!(pairs[0].0, "__name__", "the name sorts first");
            format!("{}{{{}}}", pairs[0].1, labels.join(","))
        });
        writeln!(self.text, "{name} {} {}", fed.value, fed.timestamp_ms).expect("a string takes all writes");
    }
}

/// The pairs of labels as remote write 1.0 has them, each of less than 128 bytes.
fn pairs(mut label_bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let [0x0a, length, rest @ ..] = label_bytes else { return None };
        let (label, behind) = rest.split_at(usize::from(*length));
        label_bytes = behind;
        let (name, value) = label[2..].split_at(usize::from(label[1]));
        Some((name, &value[2..]))
    })
}
