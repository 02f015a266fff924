//! A disk in memory that can lose power and fail on request. For tests, here and in `tests/`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskError, DiskFile, FileBytes};

/// Two images of a folder tree: what a reader sees, and what a power cut would leave.
///
/// Deliberately coarse where real disks are worse for nobody: a folder's names last as a whole at
/// [`Disk::sync_folder`], and unsynced bytes are lost or torn in runs of up to 512 bytes.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    /// What a reader sees under each name.
    live: BTreeMap<PathBuf, usize>,
    /// Which names a power cut would leave.
    durable: BTreeMap<PathBuf, usize>,
    files: Vec<Image>,
    /// Operations until one fails; it and all later ones then fail until [`SimulatedDisk::heal`].
    fail_after: Option<u64>,
    operation_count: u64,
}

#[derive(Clone, Default)]
struct Image {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// Where the two may differ.
    unsynced: Range<usize>,
}

impl Image {
    fn touch(&mut self, range: Range<usize>) {
        self.unsynced = if self.unsynced.is_empty() {
            range
        } else {
            self.unsynced.start.min(range.start)..self.unsynced.end.max(range.end)
        };
    }

    fn sync(&mut self) {
        self.synced.resize(self.live.len(), 0);
        let range = self.unsynced.start.min(self.live.len())..self.unsynced.end.min(self.live.len());
        self.synced[range.clone()].copy_from_slice(&self.live[range]);
        self.unsynced = 0..0;
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// Lets `count` more operations that change something succeed; those after fail as a full disk does.
    pub fn fail_after(&self, count: u64) {
        self.0.lock().fail_after = Some(count);
    }

    /// Ends the failing.
    pub fn heal(&self) {
        self.0.lock().fail_after = None;
    }

    /// Whether an operation now would fail.
    pub fn is_failing(&self) -> bool {
        self.0.lock().fail_after == Some(0)
    }

    /// How many operations have changed something so far.
    pub fn operation_count(&self) -> u64 {
        self.0.lock().operation_count
    }

    /// The disk as it is found after a power cut now. Of what was not synced each run of bytes is kept or lost as
    /// `seed` has it. The disk itself goes on unharmed, so that one history can be cut at many moments.
    pub fn crash(&self, seed: u64) -> SimulatedDisk {
        let state = self.0.lock();
        let mut dice = Dice(seed);
        let mut after = State::default();
        for (path, &index) in &state.durable {
            let image = torn(&state.files[index], &mut dice);
            after.live.insert(path.clone(), after.files.len());
            after.durable.insert(path.clone(), after.files.len());
            after.files.push(Image { live: image.clone(), synced: image, unsynced: 0..0 });
        }
        SimulatedDisk(Arc::new(Mutex::new(after)))
    }

    /// Changes bytes of a file in place, as a bad sector would.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let index = *state.live.get(path).expect("a file to damage");
        let image = &mut state.files[index];
        change(&mut image.live);
        image.synced = image.live.clone();
        image.unsynced = 0..0;
    }

    fn changing(&self, operation: &'static str, path: &Path) -> Result<parking_lot::MutexGuard<'_, State>, DiskError> {
        let mut state = self.0.lock();
        state.operation_count += 1;
        match &mut state.fail_after {
            Some(0) => Err(DiskError::new(operation, path, io::Error::from(io::ErrorKind::StorageFull))),
            Some(left) => {
                *left -= 1;
                Ok(state)
            }
            None => Ok(state),
        }
    }
}

/// A small generator of its own: the tests' seeds must mean the same on every machine and in every version.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn torn(image: &Image, dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(3) {
        0 => image.synced.len().min(image.live.len()),
        1 => image.live.len(),
        _ => image.live.len().min(image.synced.len() + dice.below(513) as usize),
    };
    let mut out = image.synced.clone();
    out.resize(length, 0);
    let (mut at, last) = (image.unsynced.start, image.unsynced.end.min(length));
    while at < last {
        let end = last.min(at + 1 + dice.below(512) as usize);
        if dice.below(2) == 0 && end <= image.live.len() {
            out[at..end].copy_from_slice(&image.live[at..end]);
        }
        at = end;
    }
    out
}

impl Disk for SimulatedDisk {
    fn create_folder(&self, _folder: &Path) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        let state = self.0.lock();
        let inside = state.live.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        let mut state = self.changing("create", path)?;
        let index = state.files.len();
        let zeros = || vec![0; reserve_bytes as usize];
        state.files.push(Image { live: zeros(), synced: zeros(), unsynced: 0..0 });
        state.live.insert(path.to_owned(), index);
        Ok(Box::new(SimulatedFile { disk: self.clone(), index, path: path.to_owned() }))
    }

    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        let state = self.0.lock();
        let missing = || DiskError::new("read", path, io::Error::from(io::ErrorKind::NotFound));
        let index = *state.live.get(path).ok_or_else(missing)?;
        Ok(FileBytes::Copied(Arc::from(state.files[index].live.as_slice())))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("rename", from)?;
        let missing = || DiskError::new("rename", from, io::Error::from(io::ErrorKind::NotFound));
        let index = state.live.remove(from).ok_or_else(missing)?;
        state.live.insert(to.to_owned(), index);
        Ok(())
    }

    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        let mut state = self.changing("shorten", path)?;
        let missing = || DiskError::new("shorten", path, io::Error::from(io::ErrorKind::NotFound));
        let index = *state.live.get(path).ok_or_else(missing)?;
        state.files[index].live.truncate(length as usize);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("remove", path)?;
        let missing = || DiskError::new("remove", path, io::Error::from(io::ErrorKind::NotFound));
        state.live.remove(path).map(|_| ()).ok_or_else(missing)
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("sync the folder", folder)?;
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        state.durable.retain(|path, _| !inside(path));
        let named: Vec<_> = state.live.iter().filter(|(path, _)| inside(path)).map(|(p, &i)| (p.clone(), i)).collect();
        state.durable.extend(named);
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> Result<u64, DiskError> {
        Ok(if self.0.lock().fail_after == Some(0) { 0 } else { 1 << 40 })
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    index: usize,
    path: PathBuf,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.disk.changing("write", &self.path)?;
        let image = &mut state.files[self.index];
        let live = &mut image.live;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if live.len() < end {
            live.resize(end, 0);
        }
        live[start..end].copy_from_slice(bytes);
        image.touch(start..end);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.disk.changing("sync", &self.path)?;
        state.files[self.index].sync();
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.changing("truncate", &self.path)?;
        state.files[self.index].live.truncate(length as usize);
        Ok(())
    }
}
