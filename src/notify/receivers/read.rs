//! What a file's receivers mean, or all that is wrong with them.

use std::path::Path;

use serde_saphyr::{Location, Spanned};

use super::ReceiverConfig;
use super::file::{Global, ReceiverFile};

/// Something wrong in a configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    /// Where.
    pub location: Location,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// What the rest of the file gives its receivers.
pub(crate) struct Surroundings<'a> {
    /// `global`, if the file has it.
    pub global: Option<&'a Global>,
    /// The file's folder: paths in it start from there.
    pub folder: &'a Path,
    /// `templates`: patterns of files.
    pub templates: &'a [Spanned<String>],
}

/// Reads `receivers`; adds to `mistakes` everything that is wrong with them and with what surrounds them. Where it
/// adds one, the answer is not to be used.
pub(crate) fn read(
    surroundings: &Surroundings<'_>,
    receivers: &[Spanned<ReceiverFile>],
    mistakes: &mut Vec<Mistake>,
) -> Vec<ReceiverConfig> {
    let _ = (surroundings.global, surroundings.folder, surroundings.templates, &mistakes);
    let name =
        |receiver: &Spanned<ReceiverFile>| receiver.value.name.as_ref().map_or("", |name| &name.value).to_owned();
    receivers.iter().map(|receiver| ReceiverConfig { name: name(receiver), integrations: Vec::new() }).collect()
}
