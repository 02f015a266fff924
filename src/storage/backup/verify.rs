//! Reading every checksum there is: of blocks and their tombstones, log, outbox, detectors' state, manifests.
//!
//! It changes nothing, so it may run beside a server. What a server is writing at the moment ends where it ends: a torn
//! tail of the newest log segment or of an outbox file is no damage, as every crash may leave one.

use std::path::{Path, PathBuf};

use storage_format::frame::{Event, FileHeader, FileKind, Reader};
use storage_format::incidents::Entry;
use storage_format::manifest::{Manifest, ManifestFile, append_checksum};
use storage_format::outbox::{Delivered, GivenUp, Message, Notification, Told};
use storage_format::{Corruption, incidents, log as log_format, metadata, outbox, push_groups, tombstones};

use super::super::{block, log};
use super::{BackupError, MANIFEST, check_restored, files_of};
use crate::disk::{Disk, DiskError};

/// Most damages of one file that are told.
const TOLD_MAX: usize = 20;

/// Bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: at byte {}: {}", self.file.display(), self.offset, self.what)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files read.
    pub file_count: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
    /// What is not wrong, and worth a word.
    pub remarks: Vec<String>,
}

/// Reads every file of a data folder, or of a snapshot, and calls `watch` with each file before it is read, with the bytes
/// read so far, and with those of all files.
pub fn verify(
    disk: &dyn Disk,
    folder: &Path,
    watch: &mut dyn FnMut(&Path, u64, u64),
) -> Result<Verification, DiskError> {
    let files = files_to_read(disk, folder)?;
    let total = files.iter().map(|(_, bytes)| bytes).sum();
    let mut found = Verification::default();
    if let Err(error @ BackupError::Unfinished(_)) = check_restored(disk, folder) {
        found.damage.push(Damage { file: folder.to_owned(), offset: 0, what: error.to_string() });
    }
    let manifest = manifest_of(disk, folder, &mut found)?;
    for (index, (path, length)) in files.iter().enumerate() {
        watch(path, found.bytes, total);
        let next = files.get(index + 1).map(|(path, _)| path.as_path());
        let named = manifest.iter().flat_map(|manifest| &manifest.files).find(|file| folder.join(&file.path) == *path);
        match verify_file(disk, path, next, named, &mut found) {
            // A server that runs beside us removes what it no longer needs.
            Err(error) if error.is_not_found() => found.remarks.push(format!("{} is gone by now", path.display())),
            verified => verified?,
        }
        found.bytes += length;
    }
    for file in manifest.iter().flat_map(|manifest| &manifest.files) {
        let path = folder.join(&file.path);
        if !files.iter().any(|(known, _)| *known == path) {
            let what = "the manifest has it, the folder not".to_owned();
            found.damage.push(Damage { file: path, offset: 0, what });
        }
    }
    watch(folder, total, total);
    Ok(found)
}

/// What a snapshot says of its files; nothing of a data folder.
fn manifest_of(disk: &dyn Disk, folder: &Path, found: &mut Verification) -> Result<Option<Manifest>, DiskError> {
    let bytes = match disk.read(&folder.join(MANIFEST)) {
        Err(error) if error.is_not_found() => return Ok(None),
        read => read?,
    };
    let tell = |Corruption { offset, what }| {
        let file = folder.join(MANIFEST);
        found.damage.push(Damage { file, offset, what: what.to_owned() });
    };
    Ok(Manifest::decode(&bytes).map_err(tell).ok())
}

/// The files that we know how to read, with their lengths, by folder and then by name.
fn files_to_read(disk: &dyn Disk, folder: &Path) -> Result<Vec<(PathBuf, u64)>, DiskError> {
    let mut files = Vec::new();
    // A folder that is not there at all is a mistake of whoever gave it.
    let top = disk.list(folder)?;
    let mut add = |path: PathBuf| -> Result<(), DiskError> {
        match disk.file_bytes(&path) {
            Err(error) if error.is_not_found() => {}
            bytes => files.push((path, bytes?)),
        }
        Ok(())
    };
    let beside = ["outbox", "incidents", "push_groups"].map(|name| folder.join(name));
    for inner in [log::folder(folder), block::folder(folder)].into_iter().chain(beside) {
        for name in files_of(disk, &inner)?.iter().filter(|name| !name.ends_with(".tmp")) {
            add(inner.join(name))?;
        }
    }
    for name in top.iter().filter(|name| *name == MANIFEST || name.ends_with(".state")) {
        add(folder.join(name))?;
    }
    Ok(files)
}

/// Reads one file; `next` is the one behind it, `named` what the manifest says of it.
fn verify_file(
    disk: &dyn Disk,
    path: &Path,
    next: Option<&Path>,
    named: Option<&ManifestFile>,
    found: &mut Verification,
) -> Result<(), DiskError> {
    let bytes = disk.read(path)?;
    found.file_count += 1;
    let damage_before = found.damage.len();
    let mut tell = |damage: Corruption| {
        let Corruption { offset, what } = damage;
        found.damage.push(Damage { file: path.to_owned(), offset, what: what.to_owned() });
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.ends_with(".damaged") {
        tell(Corruption { offset: 0, what: "was found damaged and put aside; it serves no more" });
    } else if name == MANIFEST {
        // Its own checksum was looked at before all others.
    } else if name.ends_with(".block") {
        block::verify_bytes(&bytes).into_iter().for_each(tell);
    } else if name.ends_with(".deleted") {
        tombstones::decode(&bytes).err().into_iter().for_each(tell);
    } else if let Some(kind) = kind_of(path) {
        let is_appended = matches!(kind, FileKind::Outbox | FileKind::Incidents);
        let may_be_torn = is_appended || (kind == FileKind::Log && may_be_torn(path, next));
        let (damage, end) = verify_framed(&bytes, kind, may_be_torn);
        damage.into_iter().for_each(tell);
        if let Some(from) = end {
            let what = "ends in an unfinished record, as a running server or a crash leaves it";
            found.remarks.push(format!("{} {what}; read up to byte {from}", path.display()));
        }
    } else {
        found.remarks.push(format!("{} is no file of ours", path.display()));
    }
    // The codec's own word says more than that the file as a whole differs.
    if let Some(named) = named.filter(|_| found.damage.len() == damage_before) {
        let what = match bytes.len() as u64 {
            length if length != named.bytes => format!("it has {length} bytes, and the manifest says {}", named.bytes),
            _ if append_checksum(0, &bytes) != named.checksum => "its checksum is not the manifest's".to_owned(),
            _ => return Ok(()),
        };
        found.damage.push(Damage { file: path.to_owned(), offset: 0, what });
    }
    Ok(())
}

/// The kind of framed file that should be here.
fn kind_of(path: &Path) -> Option<FileKind> {
    match path.extension()?.to_str()? {
        "log" => Some(FileKind::Log),
        "outbox" => Some(FileKind::Outbox),
        "incidents" => Some(FileKind::Incidents),
        "state" => Some(FileKind::Detector),
        "meta" => Some(FileKind::Metadata),
        "group" => Some(FileKind::PushGroup),
        "rules" => Some(FileKind::Rules),
        "silences" => Some(FileKind::Silences),
        "calendar" => Some(FileKind::Calendar),
        _ => None,
    }
}

/// Whether a segment ended with its process rather than in order: the number after it was then left out.
fn may_be_torn(path: &Path, next: Option<&Path>) -> bool {
    let sequence = |path: &Path| log::sequence_of(path.file_name()?.to_str()?);
    let following = next.and_then(sequence);
    following.is_none() || following != sequence(path).map(|sequence| sequence + 1)
}

/// What is wrong with a file of records, and where its unfinished end begins if it has one that may be there.
fn verify_framed(bytes: &[u8], kind: FileKind, may_be_torn: bool) -> (Vec<Corruption>, Option<u64>) {
    let (mut damage, mut torn) = (Vec::new(), None);
    let reader = match Reader::open(bytes) {
        Ok((FileHeader { kind: found, .. }, reader)) => {
            if found != kind {
                damage.push(Corruption { offset: 0, what: "the file is of another kind than its name says" });
            }
            reader
        }
        // Begun and never finished: nothing that counts comes before a synced header.
        Err(_) if may_be_torn && !holds_records(bytes) => return (damage, Some(0)),
        // The records may mean other things there.
        Err(_) if is_newer(bytes) => {
            let what = "the file has a newer format than this binary reads: verify it with the newer one";
            return (vec![Corruption { offset: 8, what }], None);
        }
        Err(found) => {
            damage.push(found);
            Reader::without_header(bytes)
        }
    };
    let header_is_damaged = !damage.is_empty();
    for (index, event) in reader.enumerate() {
        match event {
            Event::Record { offset, kind: record_kind, payload, chain_ok, .. } => {
                // Behind damage the chain is broken by that, which is told already.
                if !chain_ok && damage.is_empty() && torn.is_none() && !(header_is_damaged && index == 0) {
                    damage.push(Corruption { offset, what: "records before this one are missing" });
                }
                if let Err(found) = verify_payload(kind, record_kind, payload) {
                    damage.push(found.moved(offset));
                }
            }
            Event::Damage { from, may_be_torn: true, .. } if may_be_torn => {
                torn.get_or_insert(from);
            }
            Event::Damage { from, what, .. } => damage.push(Corruption { offset: from, what }),
            Event::TornTail { from } if may_be_torn => {
                torn.get_or_insert(from);
            }
            Event::TornTail { from } => damage.push(Corruption { offset: from, what: "the file ends in the middle" }),
            Event::End { .. } => {}
        }
        if damage.len() >= TOLD_MAX {
            break;
        }
    }
    (damage, torn)
}

fn holds_records(bytes: &[u8]) -> bool {
    Reader::without_header(bytes).any(|event| matches!(event, Event::Record { .. }))
}

/// Whether a payload whose checksum holds can be read.
fn verify_payload(file: FileKind, kind: u8, payload: &[u8]) -> Result<(), Corruption> {
    match (file, kind) {
        (FileKind::Log, log_format::KIND_SERIES) => {
            log_format::decode_series(payload).try_for_each(|series| series.map(drop))
        }
        (FileKind::Log, log_format::KIND_ROWS) => log_format::decode_rows(payload, |_, _, _| {}).map(drop),
        (FileKind::Log, log_format::KIND_SAMPLES | log_format::KIND_BELATED) => {
            log_format::decode_samples(payload, |_, _, _| {}).map(drop)
        }
        (FileKind::Log, log_format::KIND_DELETION) => log_format::decode_deletion(payload).map(drop),
        (FileKind::Outbox, outbox::KIND_NOTIFICATION) => Notification::decode(payload).map(drop),
        (FileKind::Outbox, outbox::KIND_DELIVERED) => Delivered::decode(payload).map(drop),
        (FileKind::Outbox, outbox::KIND_GIVEN_UP) => GivenUp::decode(payload).map(drop),
        (FileKind::Outbox, outbox::KIND_MESSAGE) => Message::decode(payload).map(drop),
        (FileKind::Outbox, outbox::KIND_TOLD) => Told::decode(payload).map(drop),
        (FileKind::Incidents, incidents::KIND_INCIDENT | incidents::KIND_CHANGE) => Entry::decode(payload).map(drop),
        (FileKind::Detector | FileKind::Rules | FileKind::Silences | FileKind::Calendar, _) => Ok(()),
        (FileKind::PushGroup, push_groups::KIND_GROUP) => push_groups::Group::decode(payload).map(drop),
        (FileKind::Metadata, metadata::KIND_FAMILY) => metadata::Family::decode(payload).map(drop),
        (FileKind::Metadata, metadata::KIND_END) => metadata::decode_end(payload).map(drop),
        _ => Err(Corruption { offset: 0, what: "a record of a kind that this binary does not know" }),
    }
}

/// Whether a newer program wrote the file.
fn is_newer(bytes: &[u8]) -> bool {
    storage_format::version_of(bytes).is_some_and(|(kind, version)| version > kind.version())
}
