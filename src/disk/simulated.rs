//! A disk in memory that can lose power and fail on request. For tests, here and in `tests/`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskError, DiskFile, FileBytes};

/// Two images of a folder tree: what a reader sees, and what a power cut would leave.
///
/// Deliberately coarse where real disks are worse for nobody: a folder's names last as a whole at
/// [`Disk::sync_folder`], unsynced bytes are lost or torn in runs of up to 512 bytes, and a folder whose parent was never
/// created here is there already, like the root of a disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    /// What a reader sees.
    live: Tree,
    /// What a power cut would leave.
    durable: Tree,
    files: Vec<Image>,
    /// Operations until one fails; it and all later ones then fail until [`SimulatedDisk::heal`].
    fail_after: Option<u64>,
    operation_count: u64,
    /// Room that is left, if there is a bound.
    free_bytes: Option<u64>,
}

/// Names. Several may stand for one file, which is an index in [`State::files`].
#[derive(Clone, Default)]
struct Tree {
    files: BTreeMap<PathBuf, usize>,
    /// Those that were created; others are there because something is in them.
    folders: BTreeSet<PathBuf>,
}

impl Tree {
    fn file(&self, operation: &'static str, path: &Path) -> Result<usize, DiskError> {
        let missing = || DiskError::new(operation, path, io::ErrorKind::NotFound.into());
        self.files.get(path).copied().ok_or_else(missing)
    }

    /// Whether every folder above was given a name that lasts, where it was created at all.
    fn reaches(&self, path: &Path, created: &BTreeSet<PathBuf>) -> bool {
        path.ancestors().skip(1).all(|folder| self.folders.contains(folder) || !created.contains(folder))
    }
}

impl State {
    /// Makes a file this long, if there is room.
    fn resize(&mut self, operation: &'static str, path: &Path, index: usize, length: usize) -> Result<(), DiskError> {
        self.take_room(operation, path, self.files[index].live.len() as u64, length as u64)?;
        self.files[index].live.resize(length, 0);
        Ok(())
    }

    /// Takes the room of a file that grows, or gives that of one that shrinks.
    fn take_room(&mut self, operation: &'static str, path: &Path, before: u64, after: u64) -> Result<(), DiskError> {
        if let Some(free) = &mut self.free_bytes {
            let full = || DiskError::new(operation, path, io::ErrorKind::StorageFull.into());
            *free = (*free + before).checked_sub(after).ok_or_else(full)?;
        }
        Ok(())
    }

    /// Gives a file a name, in place of the file that had it.
    fn name(&mut self, path: &Path, index: usize) {
        let before = self.live.files.insert(path.to_owned(), index);
        before.into_iter().for_each(|before| self.release(before));
    }

    /// Gives back the room of a file that has lost a name, if it was the last.
    fn release(&mut self, index: usize) {
        if !self.live.files.values().any(|&named| named == index)
            && let Some(free) = &mut self.free_bytes
        {
            *free += self.files[index].live.len() as u64;
        }
    }
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

    /// Leaves this much room from now on: what files grow by takes of it, what they lose gives back.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.0.lock().free_bytes = Some(bytes);
    }

    /// The disk as it is found after a power cut now. Of what was not synced each run of bytes is kept or lost as
    /// `seed` has it. The disk itself goes on unharmed, so that one history can be cut at many moments.
    pub fn crash(&self, seed: u64) -> SimulatedDisk {
        let state = self.0.lock();
        let mut dice = Dice(seed);
        let mut after = State { free_bytes: state.free_bytes, ..State::default() };
        let created: BTreeSet<PathBuf> = state.live.folders.union(&state.durable.folders).cloned().collect();
        let reaches = |path: &Path| state.durable.reaches(path, &created);
        after.live.folders = state.durable.folders.iter().filter(|folder| reaches(folder)).cloned().collect();
        let mut index_after = BTreeMap::new();
        for (path, &index) in state.durable.files.iter().filter(|(path, _)| reaches(path)) {
            let index = *index_after.entry(index).or_insert_with(|| {
                let image = torn(&state.files[index], &mut dice);
                after.files.push(Image { live: image.clone(), synced: image, unsynced: 0..0 });
                after.files.len() - 1
            });
            after.live.files.insert(path.clone(), index);
        }
        after.durable = after.live.clone();
        SimulatedDisk(Arc::new(Mutex::new(after)))
    }

    /// Changes bytes of a file in place, as a bad sector would.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let index = state.live.file("damage", path).expect("a file to damage");
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
    fn create_folder(&self, folder: &Path) -> Result<(), DiskError> {
        if self.0.lock().live.folders.contains(folder) {
            return Ok(());
        }
        let mut state = self.changing("create the folder", folder)?;
        let is_top = !folder.parent().is_some_and(|parent| state.live.folders.contains(parent));
        state.live.folders.insert(folder.to_owned());
        if is_top {
            state.durable.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("remove the folder", folder)?;
        let failed = |kind: io::ErrorKind| Err(DiskError::new("remove the folder", folder, kind.into()));
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        if state.live.files.keys().any(inside) || state.live.folders.iter().any(inside) {
            return failed(io::ErrorKind::DirectoryNotEmpty);
        }
        if state.live.folders.remove(folder) { Ok(()) } else { failed(io::ErrorKind::NotFound) }
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        let state = self.0.lock();
        Ok(names_in(folder, state.live.files.keys()))
    }

    fn list_folders(&self, folder: &Path) -> Result<Vec<String>, DiskError> {
        let state = self.0.lock();
        Ok(names_in(folder, state.live.folders.iter()))
    }

    fn create(&self, path: &Path, reserve_bytes: u64) -> Result<Box<dyn DiskFile>, DiskError> {
        let mut state = self.changing("create", path)?;
        let known = state.live.files.get(path).copied();
        let index = known.unwrap_or(state.files.len());
        if known.is_none() {
            state.files.push(Image::default());
            state.live.files.insert(path.to_owned(), index);
        }
        // A file of that name is emptied, whatever other names it has.
        state.resize("create", path, index, 0)?;
        state.take_room("create", path, 0, reserve_bytes)?;
        // Zeros that the allocator has at hand: most of a reserve is never touched.
        let zeros = || vec![0; reserve_bytes as usize];
        state.files[index] = Image { live: zeros(), synced: zeros(), unsynced: 0..0 };
        Ok(Box::new(SimulatedFile { disk: self.clone(), index, path: path.to_owned() }))
    }

    fn read(&self, path: &Path) -> Result<FileBytes, DiskError> {
        let state = self.0.lock();
        let index = state.live.file("read", path)?;
        Ok(FileBytes::Copied(Arc::from(state.files[index].live.as_slice())))
    }

    fn file_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let state = self.0.lock();
        let index = state.live.file("measure", path)?;
        Ok(state.files[index].live.len() as u64)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("link", to)?;
        let index = state.live.file("link", from)?;
        if state.live.files.contains_key(to) {
            return Err(DiskError::new("link", to, io::ErrorKind::AlreadyExists.into()));
        }
        state.name(to, index);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("rename", from)?;
        let index = state.live.file("rename", from)?;
        if from != to {
            state.live.files.remove(from);
            state.name(to, index);
        }
        Ok(())
    }

    fn shorten(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        let mut state = self.changing("shorten", path)?;
        let index = state.live.file("shorten", path)?;
        let length = state.files[index].live.len().min(length as usize);
        state.resize("shorten", path, index, length)
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("remove", path)?;
        let index = state.live.file("remove", path)?;
        state.live.files.remove(path);
        state.release(index);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        let mut state = self.changing("sync the folder", folder)?;
        let State { live, durable, .. } = &mut *state;
        let inside = |path: &Path| path.parent() == Some(folder);
        durable.files.retain(|path, _| !inside(path));
        durable
            .files
            .extend(live.files.iter().filter(|(path, _)| inside(path)).map(|(path, &file)| (path.clone(), file)));
        durable.folders.retain(|path| !inside(path));
        durable.folders.extend(live.folders.iter().filter(|path| inside(path)).cloned());
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> Result<u64, DiskError> {
        let state = self.0.lock();
        Ok(if state.fail_after == Some(0) { 0 } else { state.free_bytes.unwrap_or(1 << 40) })
    }
}

/// The last parts of the paths that lie in the folder itself.
fn names_in<'a>(folder: &Path, paths: impl Iterator<Item = &'a PathBuf>) -> Vec<String> {
    let inside = paths.filter(|path| path.parent() == Some(folder));
    inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect()
}

struct SimulatedFile {
    disk: SimulatedDisk,
    index: usize,
    path: PathBuf,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.disk.changing("write", &self.path)?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let length = state.files[self.index].live.len().max(end);
        state.resize("write", &self.path, self.index, length)?;
        let image = &mut state.files[self.index];
        image.live[start..end].copy_from_slice(bytes);
        image.touch(start..end);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.disk.changing("sync", &self.path)?;
        state.files[self.index].sync();
        Ok(())
    }

    fn reserve(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.changing("reserve room for", &self.path)?;
        let length = state.files[self.index].live.len().max(length as usize);
        state.resize("reserve room for", &self.path, self.index, length)
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.changing("truncate", &self.path)?;
        let length = state.files[self.index].live.len().min(length as usize);
        state.resize("truncate", &self.path, self.index, length)
    }
}
