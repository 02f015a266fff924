#![doc = include_str!("../../spec/manifest.md")]

use crate::Corruption;

/// Version of this format.
pub const VERSION: u16 = 1;

/// Why a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it: it stays until somebody removes it.
    Request,
    /// It was due: it goes when enough newer ones are there.
    Schedule,
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// From the snapshot's folder, one or two names joined by `/`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// When it was taken, ms since 1970 UTC.
    pub created_ms: i64,
    /// Why.
    pub cause: Cause,
    /// Its files, the manifest left out, paths ascending.
    pub files: Vec<ManifestFile>,
}

impl Manifest {
    /// Bytes of all files. More than 64 bits can say is the most that they can.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The text. Panics where paths do not ascend or are none: they are our own.
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.files.iter().all(|file| is_path(&file.path)), "{:?}", self.files);
        assert!(self.files.is_sorted_by(|a, b| a.path < b.path), "{:?}", self.files);
        let cause = match self.cause {
            Cause::Request => "request",
            Cause::Schedule => "schedule",
        };
        let mut text = format!("dozor snapshot {VERSION}\ncreated {}\ncause {cause}\n", self.created_ms);
        for ManifestFile { path, bytes, checksum } in &self.files {
            text.push_str(&format!("file {checksum:08x} {bytes} {path}\n"));
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("end {} {} {checksum:08x}\n", self.files.len(), self.total_bytes()));
        text.into_bytes()
    }

    /// Reads the text.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, Corruption> {
        let text = std::str::from_utf8(bytes).map_err(|error| Corruption::at(error.valid_up_to(), "no text"))?;
        let mut lines = Lines { text, position: 0 };
        let version = lines.fields("dozor snapshot ", "the file does not start as a manifest")?;
        if version != VERSION.to_string() {
            return Err(Corruption::at(0, "a manifest of a version that this binary does not know"));
        }
        let body = end_line_start(text)?;
        if checksum_of_end_line(&text[body..]) != Some(crc32c::crc32c(&bytes[..body])) {
            return Err(Corruption::at(body, "the manifest does not match its checksum"));
        }
        let created_ms = number(lines.fields("created ", "the line `created` is missing")?);
        let created_ms = created_ms.ok_or(Corruption::at(0, "created is no time"))?;
        let cause = match lines.fields("cause ", "the line `cause` is missing")? {
            "request" => Cause::Request,
            "schedule" => Cause::Schedule,
            _ => return Err(Corruption::at(lines.position, "the cause is not one that we know")),
        };
        let mut manifest = Manifest { created_ms, cause, files: Vec::new() };
        while lines.position < body {
            let at = lines.position;
            let file = file_of(lines.fields("file ", "a line that is no file")?);
            let file = file.ok_or(Corruption::at(at, "a file line is not well-formed"))?;
            if manifest.files.last().is_some_and(|before| before.path >= file.path) {
                return Err(Corruption::at(at, "paths do not ascend"));
            }
            manifest.files.push(file);
        }
        let checksum = crc32c::crc32c(&bytes[..body]);
        let expected = format!("end {} {} {checksum:08x}\n", manifest.files.len(), manifest.total_bytes());
        if text[body..] != expected {
            return Err(Corruption::at(body, "the sums are not those of the files"));
        }
        Ok(manifest)
    }
}

/// The checksum of a file's bytes, part by part: begins with 0 and the first part.
pub fn append_checksum(checksum: u32, part: &[u8]) -> u32 {
    crc32c::crc32c_append(checksum, part)
}

/// Whether a path is one that a manifest may have.
pub fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed)
    };
    path.split('/').count() <= 2 && path.split('/').all(is_name)
}

/// Where the last line begins.
fn end_line_start(text: &str) -> Result<usize, Corruption> {
    let unfinished = Corruption::at(text.len(), "the manifest is not finished");
    let without_feed = text.strip_suffix('\n').ok_or(unfinished)?;
    let start = without_feed.rfind('\n').ok_or(unfinished)? + 1;
    if text[start..].starts_with("end ") { Ok(start) } else { Err(unfinished) }
}

fn checksum_of_end_line(line: &str) -> Option<u32> {
    hex(line.trim_end_matches('\n').rsplit(' ').next()?)
}

fn file_of(fields: &str) -> Option<ManifestFile> {
    let (checksum, rest) = fields.split_once(' ')?;
    let (bytes, path) = rest.split_once(' ')?;
    let (checksum, bytes) = (hex(checksum)?, number(bytes)?);
    is_path(path).then(|| ManifestFile { path: path.to_owned(), bytes, checksum })
}

fn hex(digits: &str) -> Option<u32> {
    let value = u32::from_str_radix(digits, 16).ok()?;
    (digits == format!("{value:08x}")).then_some(value)
}

/// A number, if it is written as we write it.
fn number<N: std::str::FromStr + ToString>(digits: &str) -> Option<N> {
    let value: N = digits.parse().ok()?;
    (digits == value.to_string()).then_some(value)
}

struct Lines<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lines<'a> {
    /// What follows `start` in the next line.
    fn fields(&mut self, start: &str, otherwise: &'static str) -> Result<&'a str, Corruption> {
        let corruption = Corruption::at(self.position, otherwise);
        let (line, _) = self.text[self.position..].split_once('\n').ok_or(corruption)?;
        self.position += line.len() + 1;
        line.strip_prefix(start).ok_or(corruption)
    }
}

#[cfg(test)]
mod tests;
