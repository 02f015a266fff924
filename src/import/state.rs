//! How far an import is, in a file: read when the same import is started again.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ImportError;
use super::batch::{OTHER_REASON, REASONS_MAX, Refused};
use super::send::Answer;
use super::source::Position;
use crate::config::without_login;
use crate::disk::Disk;
use crate::model::Labels;

/// The version of the file.
const VERSION: u32 = 1;

/// What has become of the samples.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Samples that are on disk at the server.
    pub stored: u64,
    /// Samples, lines and chunks that are not, by reason.
    pub refused: BTreeMap<String, u64>,
    /// The first of them.
    pub first_refused: Option<String>,
    /// Hashes of the series of this run.
    #[serde(skip)]
    series: HashSet<u64>,
    #[serde(skip)]
    hasher: RandomState,
}

impl Tally {
    /// Series that this run sent samples of.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// How much was refused.
    pub fn refused_count(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn note_series<'a>(&mut self, series: impl Iterator<Item = &'a Labels>) {
        let Tally { series: known, hasher, .. } = self;
        known.extend(series.map(|labels| hasher.hash_one(labels)));
    }

    pub(super) fn note(&mut self, unsent: Refused, answer: Option<Answer>) {
        let answer = answer.unwrap_or_default();
        self.stored += answer.stored;
        for refused in [unsent, answer.refused] {
            for (reason, count) in refused.reasons {
                let is_known = self.refused.contains_key(&reason) || self.refused.len() < REASONS_MAX;
                *self.refused.entry(if is_known { reason } else { OTHER_REASON.to_owned() }).or_default() += count;
            }
            self.first_refused = self.first_refused.take().or(refused.first);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Noted {
    version: u32,
    /// Which source, and which server.
    import: String,
    position: Position,
    tally: Tally,
}

/// Where the state of an import is kept if nothing else is said: beside the source, named after it. While it is replaced a
/// file of the same name but for its ending lies there, so the name before that must be nobody else's.
pub(super) fn beside(source: &Path) -> PathBuf {
    let mut name = source.file_name().unwrap_or_default().to_owned();
    name.push(".dozor-import.state");
    source.with_file_name(name)
}

/// Stands between source and server where an import is named.
const INTO: &str = " into ";

/// Which source, and which server: by this an import is known when it is taken up again, whoever asks then.
pub(super) fn import_of(source: &str, url: &str) -> String {
    format!("{source}{INTO}{}", without_login(url))
}

/// The same, of what an earlier version noted, who still noted passwords.
fn noted_import(noted: &str) -> String {
    noted.rsplit_once(INTO).map_or_else(|| noted.to_owned(), |(source, url)| import_of(source, url))
}

/// The file in which an import notes how far it is.
pub(super) struct StateFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    import: String,
}

impl StateFile {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf, import: String) -> StateFile {
        StateFile { disk, path, import }
    }

    /// What an earlier run noted. Fails when that was another import: its position means nothing here.
    pub(super) fn read(&self) -> Result<Option<(Position, Tally)>, ImportError> {
        let bytes = match self.disk.read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let unusable = |what: String| {
            let path = self.path.display();
            Err(ImportError::Unusable(format!("{path} {what}: remove it to begin anew, or give another --state")))
        };
        match serde_json::from_slice::<Noted>(&bytes) {
            Ok(noted) if noted.version != VERSION => unusable(format!("is of version {}", noted.version)),
            Ok(noted) if noted_import(&noted.import) != self.import => {
                let noted = noted_import(&noted.import);
                unusable(format!("is of another import: {noted}; this one is {}", self.import))
            }
            Ok(noted) => Ok(Some((noted.position, noted.tally))),
            Err(error) => unusable(format!("is no state of an import ({error})")),
        }
    }

    pub(super) fn write(&self, position: &Position, tally: &Tally) -> Result<(), ImportError> {
        let (position, tally) = (position.clone(), tally.clone());
        let noted = Noted { version: VERSION, import: self.import.clone(), position, tally };
        let text = serde_json::to_vec(&noted).expect("numbers and texts can be written as JSON");
        Ok(self.disk.replace(&self.path, &text)?)
    }

    /// The import is at its end: there is nothing to take up again.
    pub(super) fn remove(&self) -> Result<(), ImportError> {
        match self.disk.remove(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
