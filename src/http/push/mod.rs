//! Ways in beside remote write, each protocol in a file of its own.

mod exposition;
mod pushgateway;

pub(super) use exposition::{import_text, import_text_of_group};
pub(super) use pushgateway::{group, groups, wipe};
