//! A door for fuzzing, in tests and behind the feature `fuzzing` alone: the pieces of a request that are read by hand.

use super::{parameters, request};

/// Reads `a=1&b=x+y%21` into pairs.
pub fn form(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let read = request::decode_form(text, &mut pairs);
    read.map(|()| pairs).map_err(|error| format!("{error:?}"))
}

/// Reads a moment, in ms since 1970 UTC.
pub fn time_ms(text: &str) -> Result<i64, String> {
    parameters::parse_time_ms(text)
}

/// Reads a duration, in ms.
pub fn span_ms(text: &str) -> Result<i64, String> {
    parameters::parse_span_ms(text)
}

/// Reads a label's name as it stands in a path.
pub fn label_name(name: &str) -> String {
    parameters::unescape_label_name(name)
}
