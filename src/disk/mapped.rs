//! Files in memory where they lie, and what happens when somebody shortens one under us.
//!
//! Why mapped at all: the index and the columns of every block are read where they are, by all threads at once, and the
//! system keeps in memory what is used. Reading into buffers of our own costs a copy for each query, or a cache of ours
//! beside the system's.
//!
//! What it costs: where a file ends earlier than its mapping, or the disk cannot read a page, the system sends SIGBUS to
//! the reading thread, which ends a process that does nothing about it. Here is what we do about it: the handler finds
//! the mapping, notes the fault, and puts a page of zeros in the place of the missing one. The read goes on, and
//! whoever reads asks [`Mapping::is_damaged`] before the answer is used.
//!
//! ```text
//! read column at 7f10 4a0 ─► SIGBUS ─► mappings.find ─► fault noted, zeros mapped at 7f10 000 ─► read goes on: zeros
//!                                         └─ none of ours: the default action; a crash stays a crash
//! ```
//!
//! Always true:
//! 1. A mapping is registered before its bytes are given out and unregistered before it is unmapped, so a fault in it is
//!    always found.
//! 2. Pages of zeros are only ever put into mappings of ours that somebody is reading.
//! 3. The handler calls nothing but loads and stores of atomics, `mmap` and `sigaction`, which are bare system calls.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mappings::{Mappings, Slot, Word};

/// Most files mapped at a time; the system's own bound on mappings is 16 times this. Blocks are some hundreds.
const MAPPINGS_MAX: usize = 4096;

static MAPPINGS: Mappings<AtomicUsize, MAPPINGS_MAX> = Mappings(
    [const { Slot::new(AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)) };
        MAPPINGS_MAX],
);

/// Faults in all mappings since the start. Relaxed: a figure.
static FAULTS: AtomicUsize = AtomicUsize::new(0);

/// Size of a page in bytes; set before the handler is.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

impl Word for AtomicUsize {
    fn load(&self) -> usize {
        self.load(Ordering::SeqCst)
    }

    fn store(&self, value: usize) {
        self.store(value, Ordering::SeqCst);
    }

    fn add(&self, value: usize) {
        self.fetch_add(value, Ordering::SeqCst);
    }

    fn replace(&self, current: usize, new: usize) -> bool {
        self.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// Pages of mapped files that could not be read since the start.
pub fn mapping_faults() -> u64 {
    FAULTS.load(Ordering::Relaxed) as u64
}

/// A file in memory, as long as it was when it was mapped.
#[derive(Debug)]
pub struct Mapping {
    start: usize,
    length: usize,
    slot: usize,
    /// The name it was opened by, and the file that it was then: device and inode.
    path: PathBuf,
    identity: (u64, u64),
    /// What the last byte was then.
    last: u8,
}

impl Mapping {
    /// Maps all bytes, more than none, of a file that nobody writes to in place.
    /// Fails with [`io::ErrorKind::QuotaExceeded`] when [`MAPPINGS_MAX`] files are mapped.
    pub(super) fn of(file: &File, path: &Path) -> io::Result<Mapping> {
        install_handler()?;
        let metadata = file.metadata()?;
        let length = usize::try_from(metadata.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let identity = (metadata.dev(), metadata.ino());
        // SAFETY: a new mapping at an address of the system's choice touches nothing that exists. The descriptor is open,
        // since `file` is borrowed.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start as usize;
        match MAPPINGS.register(start, start + length) {
            Some(slot) => {
                let mut mapping = Mapping { start, length, slot, path: path.to_owned(), identity, last: 0 };
                mapping.last = mapping.last_byte();
                Ok(mapping)
            }
            None => {
                unmap(start, length);
                Err(io::Error::new(io::ErrorKind::QuotaExceeded, format!("{MAPPINGS_MAX} files are mapped already")))
            }
        }
    }

    /// Whether a part could not be read and was zeros instead. Asked after reading and before what was read is used; a
    /// mapping that is damaged once stays so.
    ///
    /// Of a file that ends within its last page the system makes the rest zeros without a word, the last byte among them:
    /// where that was none, a look at it tells. Of other files the length is asked for, by name: a descriptor a block would
    /// be too many. A file that has lost its name cannot be shortened by it.
    pub fn is_damaged(&self) -> bool {
        if MAPPINGS.faults(self.slot) == 0 && self.is_shorter() {
            MAPPINGS.fault(self.slot);
        }
        MAPPINGS.faults(self.slot) > 0
    }

    /// Lets go of what is in memory of it; whoever touches it reads it anew.
    pub fn forget(&self) {
        // SAFETY: the range is what `of` got from the system, and `drop` has not run. Of a shared mapping of a file that nobody
        // writes to nothing is lost by it, and a page of zeros that the handler put is one of zeros afterwards. That the
        // system may refuse changes nothing for those who read.
        let _ = unsafe { libc::madvise(self.start as *mut libc::c_void, self.length, libc::MADV_DONTNEED) };
    }

    fn is_shorter(&self) -> bool {
        if self.last != 0 {
            return self.last_byte() != self.last;
        }
        std::fs::metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == self.identity && now.len() < self.length as u64)
    }

    /// The last byte as it is now: it may have changed behind the back of whoever read it before.
    fn last_byte(&self) -> u8 {
        let last = (self.start + self.length - 1) as *const u8;
        // SAFETY: `of` mapped more than no bytes for reading, and `drop`, which alone unmaps them, has not run. Where the file
        // has lost the page, the handler puts one of zeros there, as under every other read.
        unsafe { last.read_volatile() }
    }
}

impl std::ops::Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `of` mapped these bytes for reading, and `drop`, which alone unmaps them, needs the last reference. They
        // are initialised: bytes of the file, or zeros where the handler put a page. That they stay the same is what
        // Rust asks for and nobody can promise of a file; we write each once, before it is mapped, and the folder's lock
        // keeps other Dozors out. Somebody who changes it by hand can make two reads of one byte differ, so readers check
        // bounds and checksums on what they decode, and nothing decoded is used as an address or a length without that.
        unsafe { std::slice::from_raw_parts(self.start as *const u8, self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        MAPPINGS.unregister(self.slot);
        unmap(self.start, self.length);
    }
}

fn unmap(start: usize, length: usize) {
    // SAFETY: the range is what `Mapping::of` got from the system, and nobody has a reference into it: it was refused
    // there, or its `Mapping` is being dropped.
    let outcome = unsafe { libc::munmap(start as *mut libc::c_void, length) };
    assert_eq!(outcome, 0, "what was mapped can be unmapped");
}

/// Installs the handler once for the process.
fn install_handler() -> io::Result<()> {
    static INSTALLED: OnceLock<Option<i32>> = OnceLock::new();
    let failed = INSTALLED.get_or_init(|| {
        PAGE_BYTES.store(rustix::param::page_size(), Ordering::SeqCst);
        // On the alternate stack where a thread has one, as Rust's threads do.
        set_action(on_bus_error as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK).err()
    });
    failed.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
}

/// Sets what SIGBUS does. Fails with the system's number of the error. Safe in a handler.
fn set_action(action: usize, flags: i32) -> Result<(), i32> {
    // SAFETY: all zeros is a value of this plain C structure: the default action, no flags, no signals blocked.
    let mut wanted: libc::sigaction = unsafe { std::mem::zeroed() };
    wanted.sa_sigaction = action;
    wanted.sa_flags = flags;
    // SAFETY: the structure lives across the call, the old action is not asked for, and `action` is either the default
    // or `on_bus_error`, whose signature is that of a handler with SA_SIGINFO.
    let outcome = unsafe { libc::sigaction(libc::SIGBUS, &raw const wanted, std::ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)) }
}

/// The handler. Runs on the thread that read, in the middle of whatever it did.
extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system calls a handler with SA_SIGINFO with a pointer to a structure that lives until it returns.
    let info = unsafe { &*info };
    // Numbers above zero are the system's own: a fault. Others are sent by processes, and have no address.
    // SAFETY: for a SIGBUS of the system's own the structure has this member.
    let address = if info.si_code > 0 { (unsafe { info.si_addr() }) as usize } else { 0 };
    let patched = MAPPINGS.find(address).is_some_and(|slot| {
        MAPPINGS.fault(slot);
        FAULTS.fetch_add(1, Ordering::Relaxed);
        put_zeros(address)
    });
    if !patched {
        // None of ours. When we return the instruction runs again, and this time the process ends as it would have
        // without us. A signal that was sent comes again, for it must not be swallowed.
        let _ = set_action(libc::SIG_DFL, 0);
        // SAFETY: raising a signal has no conditions; this one is blocked until we return.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}

/// Puts a page of zeros in the place of the one that has this address, which is in a mapping of ours.
fn put_zeros(address: usize) -> bool {
    let page_bytes = PAGE_BYTES.load(Ordering::SeqCst);
    let page = (address & !(page_bytes - 1)) as *mut libc::c_void;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: the page lies in a live mapping of ours: `find` said so, and the interrupted thread, which is reading there,
    // holds it. No other thread can read from it what it could not read before but zeros, and `munmap` of the whole
    // range takes it away like the others.
    let mapped = unsafe { libc::mmap(page, page_bytes, libc::PROT_READ, flags, -1, 0) };
    mapped == page
}
