//! Files that are replaced as a whole: how many entries follow, then each of them, as JSON texts.
//!
//! ```text
//! {"silences":2}   {"id":"7f3a9c21",…}   {"id":"81b204dd",…}      a framed record each
//! ```
//!
//! Always true: what is read of one is all of it, or an error.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use storage_format::frame::{FileKind, decode_whole, encode_whole};

/// One kind of such files.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    /// What the files are, by their first bytes.
    pub file_kind: FileKind,
    /// The kind of each of their records.
    pub record_kind: u8,
    /// What the entries are called, in the first record and by people: `silences`.
    pub entries: &'static str,
}

impl Texts {
    /// The bytes of a file with these entries. `now_ms`: when it is made, in ms since 1970 UTC.
    ///
    /// Panics if an entry cannot be JSON: it consists of strings, finite numbers, lists, and maps by strings.
    pub fn encode<E: Serialize>(&self, entries: impl ExactSizeIterator<Item = E>, now_ms: i64) -> Vec<u8> {
        let count = text_of(&HashMap::from([(self.entries, entries.len())]));
        let texts = std::iter::once(count).chain(entries.map(|entry| text_of(&entry)));
        encode_whole(self.file_kind, now_ms, texts.map(|text| (self.record_kind, text)))
    }

    /// The entries of such a file, in its order. Fails with what is wrong with it.
    pub fn decode<E: DeserializeOwned>(&self, bytes: &[u8]) -> Result<Vec<E>, String> {
        let records = decode_whole(bytes, self.file_kind).map_err(|corruption| corruption.to_string())?;
        if let Some((kind, _)) = records.iter().find(|(kind, _)| *kind != self.record_kind) {
            return Err(format!("{kind} is no kind of text"));
        }
        let (summary, texts) = records.split_first().ok_or("it has no record")?;
        let summary: HashMap<String, Value> = serde_json::from_slice(summary.1).map_err(|error| error.to_string())?;
        let count = summary.get(self.entries).and_then(Value::as_u64);
        match count {
            None => return Err(format!("it does not say how many {} it has", self.entries)),
            Some(count) if count != texts.len() as u64 => {
                return Err(format!("{} are missing at its end", self.entries));
            }
            Some(_) => {}
        }
        texts.iter().map(|(_, text)| serde_json::from_slice(text).map_err(|error| error.to_string())).collect()
    }
}

fn text_of(of: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(of).expect("strings and finite numbers are always JSON")
}
