//! The key that a receiver shares with us, and the signature it makes: Standard Webhooks, version `v1`.
//!
//! Signed is `<id>.<timestamp>.<body>` by HMAC-SHA256. A receiver that knows the key can tell that a page is ours, is
//! whole, and is not an old one sent again.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// In front of a key that is written in base64, as Standard Webhooks has it.
const BASE64_PREFIX: &str = "whsec_";
/// Longest secret file, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 4096;
/// The permission bit that lets everybody read a file.
const WORLD_READABLE: u32 = 0o004;

/// A signing key. Never shown, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a secret file was refused. The operator must mend the file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everybody on the machine can read the file.
    #[error("the secret file {} can be read by everybody (mode {mode:03o}): chmod 600 it", path.display())]
    WorldReadable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no usable key.
    #[error("the secret file {}: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with the content.
        what: &'static str,
    },
}

impl Secret {
    /// Reads a key: `whsec_` and base64, or the bytes themselves; white space around it does not count.
    pub fn parse(content: &[u8]) -> Result<Secret, &'static str> {
        let content = content.trim_ascii();
        let key = match content.strip_prefix(BASE64_PREFIX.as_bytes()) {
            Some(base64) => STANDARD.decode(base64).map_err(|_| "behind whsec_ there is no valid base64")?,
            None => content.to_vec(),
        };
        if key.is_empty() { Err("it is empty") } else { Ok(Secret(key)) }
    }

    /// Reads the key from a file that not everybody may read, of at most 4 KiB.
    #[expect(clippy::disallowed_methods, reason = "a file of the operator's, not of our data folder: mode bits matter")]
    pub fn from_file(path: &Path) -> Result<Secret, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
        let unusable = |what| SecretError::Unusable { path: path.to_owned(), what };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.mode() & WORLD_READABLE != 0 {
            return Err(SecretError::WorldReadable { path: path.to_owned(), mode: metadata.mode() & 0o777 });
        }
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, SECRET_FILE_BYTES_MAX + 1), &mut content)
            .map_err(unreadable)?;
        if content.len() as u64 > SECRET_FILE_BYTES_MAX {
            return Err(unusable("it is longer than 4096 bytes"));
        }
        Secret::parse(&content).map_err(unusable)
    }

    /// The value of the header `webhook-signature`; `timestamp_s` is seconds since 1970 UTC.
    pub(crate) fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Reads a file of the operator's. What is wrong is said without the file's name.
#[expect(clippy::disallowed_methods, reason = "a file of the operator's, not of our data folder")]
pub(crate) fn read_text_file(path: &Path, bytes_max: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, bytes_max + 1), &mut content)
        .map_err(|error| error.to_string())?;
    if content.len() as u64 > bytes_max {
        return Err(format!("it is longer than {bytes_max} bytes"));
    }
    String::from_utf8(content).map_err(|_| "it is no text".to_owned())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
