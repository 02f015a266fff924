//! Ways in beside remote write, each protocol in a file of its own.

mod exposition;

pub(super) use exposition::{import_text, import_text_of_group};
