//! Prints any file of a data folder as annotated text: what stands at which byte, and where it is damaged.
//!
//! ```text
//! $ inspect --limit 2 data/log/00000007.log
//! data/log/00000007.log: 184 bytes, log segment
//! 00000000  file header: version 1, sequence 7, created 2023-11-14T22:13:20.000Z, salt 0x00005eed
//! 00000020  record 0: series, shard 2, 36 bytes
//!             0  {__name__="up", node="1"}
//!             300  {__name__="é"}
//! 00000060  record 1: samples, shard 2, 36 bytes
//!             0  1970-01-01T00:00:15.000Z  1
//!             1  1970-01-01T00:00:15.000Z  -123.45
//!             … 3 more
//! 000000a0  end of records, 24 zero bytes follow
//! ```
//!
//! It reads with the codecs of `storage-format` alone, so it opens what an engine refuses. It exits with 1 where it found
//! damage; a torn tail is none, as every crash may leave one.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use storage_format::block_v1::{self as block, BlockReader, ChunkMeta, SeriesEntry};
use storage_format::chunk;
use storage_format::frame::{Event, FileHeader, FileKind, Reader};
use storage_format::incidents;
use storage_format::log::{self, decode_deletion, decode_rows, decode_samples, decode_series};
use storage_format::manifest::{Manifest, ManifestFile};
use storage_format::metadata::{self, Family, decode_end};
use storage_format::outbox::{self, Delivered, GivenUp, Message, Notification, Told};
use storage_format::push_groups;
use storage_format::tombstones::{self, Tombstone};

/// How the text of a manifest starts, of whatever version.
const MANIFEST_START: &[u8] = b"dozor snapshot ";
const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Prints log segments, blocks, their tombstones, outbox files, detector state, metadata and manifests as annotated text.
#[derive(Parser)]
struct Flags {
    /// Most lines for the samples or definitions of a record or chunk; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// The files to print.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let mut printer = Printer { out: BufWriter::new(io::stdout().lock()), limit: flags.limit, damaged: false };
    for file in &flags.files {
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        match printer.file(file, &bytes) {
            Ok(()) => {}
            // Whoever reads us has seen enough, as `head` does.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if printer.damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Printer<W: Write> {
    out: W,
    limit: usize,
    damaged: bool,
}

impl<W: Write> Printer<W> {
    fn file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let magic = bytes.first_chunk::<8>().copied().unwrap_or_default();
        let kind = FileKind::of_magic(&magic);
        let what = match kind {
            Some(FileKind::Log) => "log segment",
            Some(FileKind::Outbox) => "outbox",
            Some(FileKind::Detector) => "detector state",
            Some(FileKind::Metadata) => "metadata",
            Some(FileKind::PushGroup) => "group of pushes",
            Some(FileKind::Rules) => "alerts of rules",
            Some(FileKind::Incidents) => "journal of incidents",
            Some(FileKind::Silences) => "silences",
            Some(FileKind::Calendar) => "announced spans of the calendar",
            None if &magic == block::MAGIC => "block",
            None if &magic == tombstones::MAGIC => "tombstones",
            None if bytes.starts_with(MANIFEST_START) => "manifest of a snapshot",
            None => "no file of ours by its first bytes",
        };
        writeln!(self.out, "{}: {} bytes, {what}", path.display(), bytes.len())?;
        match kind {
            Some(kind) => self.framed(kind, bytes)?,
            None if &magic == block::MAGIC => self.block(bytes)?,
            None if &magic == tombstones::MAGIC => self.tombstones(bytes)?,
            None if bytes.starts_with(MANIFEST_START) => self.manifest(bytes)?,
            None => self.damage(0, "the first eight bytes are none of our magics")?,
        }
        self.out.flush()
    }

    fn tombstones(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (created_ms, tombstones) = match tombstones::decode(bytes) {
            Ok(told) => told,
            Err(corruption) => return self.damage(corruption.offset, corruption.what),
        };
        self.at(0, format_args!("of the block created {}: {} deleted", Moment(created_ms), tombstones.len()))?;
        let line = |one: &Tombstone| format!("series {}  {} to {}", one.series, Moment(one.from_ms), Moment(one.to_ms));
        self.details(tombstones.iter().map(line))
    }

    /// It is text already: only what that means is added.
    fn manifest(&mut self, bytes: &[u8]) -> io::Result<()> {
        let manifest = match Manifest::decode(bytes) {
            Ok(manifest) => manifest,
            Err(corruption) => return self.damage(corruption.offset, corruption.what),
        };
        let (created, cause) = (Moment(manifest.created_ms), manifest.cause);
        self.at(0, format_args!("snapshot of {created}, by {cause:?}: {} bytes", manifest.total_bytes()))?;
        let line = |file: &ManifestFile| format!("{:08x}  {:>12}  {}", file.checksum, file.bytes, file.path);
        self.details(manifest.files.iter().map(line))
    }

    fn at(&mut self, offset: u64, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{offset:08x}  {text}")
    }

    fn detail(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "            {text}")
    }

    fn damage(&mut self, offset: u64, text: impl Display) -> io::Result<()> {
        self.damaged = true;
        self.at(offset, format_args!("DAMAGE: {text}"))
    }

    /// At most `limit` lines, and how many there would be more.
    fn details(&mut self, lines: impl ExactSizeIterator<Item = String>) -> io::Result<()> {
        let more = lines.len().saturating_sub(self.limit);
        for line in lines.take(self.limit) {
            self.detail(line)?;
        }
        if more > 0 { self.detail(format_args!("… {more} more")) } else { Ok(()) }
    }

    fn framed(&mut self, kind: FileKind, bytes: &[u8]) -> io::Result<()> {
        let reader = match Reader::open(bytes) {
            Ok((header, reader)) => {
                self.file_header(&header)?;
                reader
            }
            Err(corruption) => {
                self.damage(corruption.offset, corruption.what)?;
                Reader::without_header(bytes)
            }
        };
        let mut index = 0;
        for event in reader {
            match event {
                Event::Record { offset, kind: record_kind, shard, payload, chain_ok } => {
                    let name = record_name(kind, record_kind);
                    let text = format!("record {index}: {name}, shard {shard}, {} bytes", payload.len());
                    self.at(offset, text)?;
                    if !chain_ok {
                        self.damage(
                            offset,
                            "it does not follow the record before it: some are missing, or it is stale",
                        )?;
                    }
                    self.payload(kind, record_kind, offset, payload)?;
                    index += 1;
                }
                Event::Damage { from, to, what, may_be_torn } => {
                    let torn = if may_be_torn { " (of a write that was never answered, perhaps)" } else { "" };
                    self.damage(from, format_args!("up to {to:08x}: {what}{torn}"))?;
                }
                Event::TornTail { from } => {
                    self.at(from, format_args!("torn tail: {} bytes hold no whole record", bytes.len() as u64 - from))?;
                }
                Event::End { offset } => {
                    self.at(offset, format_args!("end of records, {} zero bytes follow", bytes.len() as u64 - offset))?;
                }
            }
        }
        Ok(())
    }

    fn file_header(&mut self, header: &FileHeader) -> io::Result<()> {
        let FileHeader { version, sequence, created_ms, salt, .. } = header;
        let created = Moment(*created_ms);
        self.at(
            0,
            format_args!("file header: version {version}, sequence {sequence}, created {created}, salt 0x{salt:08x}"),
        )
    }

    fn payload(&mut self, file: FileKind, kind: u8, offset: u64, payload: &[u8]) -> io::Result<()> {
        let lines = match (file, kind) {
            (FileKind::Log, log::KIND_SERIES) => series_lines(payload),
            (FileKind::Log, log::KIND_ROWS) => sample_lines(|row| decode_rows(payload, row)),
            (FileKind::Log, log::KIND_SAMPLES | log::KIND_BELATED) => sample_lines(|row| decode_samples(payload, row)),
            (FileKind::Log, log::KIND_DELETION) => deletion_lines(payload),
            (FileKind::Incidents, incidents::KIND_INCIDENT | incidents::KIND_CHANGE) => incident_lines(payload),
            (FileKind::Outbox, outbox::KIND_NOTIFICATION) => notification_lines(payload),
            (FileKind::Outbox, outbox::KIND_DELIVERED) => delivered_lines(payload),
            (FileKind::Outbox, outbox::KIND_GIVEN_UP) => given_up_lines(payload),
            (FileKind::Outbox, outbox::KIND_MESSAGE) => message_lines(payload),
            (FileKind::Outbox, outbox::KIND_TOLD) => Told::decode(payload).map(|told| told_lines(&told)),
            (FileKind::PushGroup, push_groups::KIND_GROUP) => group_lines(payload),
            (FileKind::Metadata, metadata::KIND_FAMILY) => family_lines(payload),
            (FileKind::Metadata, metadata::KIND_END) => {
                decode_end(payload).map(|count| vec![format!("end of {count} families")])
            }
            (FileKind::Detector | FileKind::Rules | FileKind::Silences | FileKind::Calendar, _) => {
                return self.detail(String::from_utf8_lossy(payload));
            }
            _ => return self.damage(offset, "the kind of the record is not one we know"),
        };
        match lines {
            Ok(lines) if matches!(file, FileKind::Outbox | FileKind::Metadata | FileKind::Incidents) => {
                lines.iter().try_for_each(|line| self.detail(line))
            }
            Ok(lines) => self.details(lines.into_iter()),
            Err(corruption) => {
                self.damage(offset, format_args!("its checksums hold, but not its payload, {corruption} of it"))
            }
        }
    }

    fn block(&mut self, bytes: &[u8]) -> io::Result<()> {
        let reader = match BlockReader::open(bytes) {
            Ok(reader) => reader,
            Err(corruption) => return self.damage(corruption.offset, corruption.what),
        };
        let meta = *reader.meta();
        let (from, to, created) =
            (Moment(meta.range.min_time_ms), Moment(meta.range.max_time_ms), Moment(meta.range.created_ms));
        self.at(0, format_args!("block header: {from} to before {to}, created {created}"))?;
        for index in 0..reader.series_count() {
            match reader.series(index) {
                Ok(series) => self.block_series(&reader, index, &series)?,
                Err(corruption) => self.damage(corruption.offset, corruption.what)?,
            }
        }
        for (name, region) in ["symbols", "series", "postings"].into_iter().zip(reader.regions()) {
            self.at(region.offset, format_args!("{name}: {} bytes", region.length))?;
            if name == "postings" {
                self.postings(&reader, region.offset)?;
            }
        }
        let footer = (bytes.len() - block::FOOTER_BYTES) as u64;
        self.at(footer, format_args!("footer: {} series, {} samples", meta.series_count, meta.sample_count))
    }

    fn block_series(&mut self, reader: &BlockReader<&[u8]>, index: u32, series: &SeriesEntry<'_>) -> io::Result<()> {
        writeln!(self.out, "series {index} {}", Braces(&series.labels))?;
        series.chunks.iter().try_for_each(|meta| self.chunk(reader, meta))
    }

    fn chunk(&mut self, reader: &BlockReader<&[u8]>, meta: &ChunkMeta) -> io::Result<()> {
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        let bytes = match reader.chunk(meta) {
            Ok(bytes) => bytes,
            Err(corruption) => return self.damage(corruption.offset, corruption.what),
        };
        match chunk::decode_stored(bytes, &mut timestamps, &mut values) {
            Ok(count) => {
                self.at(meta.offset, format_args!("chunk: {count} samples, {} bytes", meta.length))?;
                let lines = timestamps.iter().zip(&values);
                self.details(lines.map(|(timestamp_ms, value)| format!("{}  {}", Moment(*timestamp_ms), Value(*value))))
            }
            Err(corruption) => self.damage(meta.offset + corruption.offset, corruption.what),
        }
    }

    fn postings(&mut self, reader: &BlockReader<&[u8]>, offset: u64) -> io::Result<()> {
        match postings_lines(reader) {
            Ok(lines) => self.details(lines.into_iter()),
            Err(corruption) => self.damage(offset, corruption.what),
        }
    }
}

type Lines = Result<Vec<String>, storage_format::Corruption>;

fn record_name(file: FileKind, kind: u8) -> String {
    match (file, kind) {
        (FileKind::Log, log::KIND_SERIES) => "series".to_owned(),
        (FileKind::Log, log::KIND_ROWS | log::KIND_SAMPLES) => "samples".to_owned(),
        (FileKind::Log, log::KIND_BELATED) => "belated samples".to_owned(),
        (FileKind::Log, log::KIND_DELETION) => "deletion".to_owned(),
        (FileKind::Outbox, outbox::KIND_NOTIFICATION) => "notification".to_owned(),
        (FileKind::Outbox, outbox::KIND_DELIVERED) => "delivered".to_owned(),
        (FileKind::Outbox, outbox::KIND_GIVEN_UP) => "given up".to_owned(),
        (FileKind::Incidents, incidents::KIND_INCIDENT) => "incident".to_owned(),
        (FileKind::Incidents, incidents::KIND_CHANGE) => "change".to_owned(),
        (FileKind::Outbox, outbox::KIND_MESSAGE) => "message".to_owned(),
        (FileKind::Outbox, outbox::KIND_TOLD) => "told".to_owned(),
        (FileKind::Metadata, metadata::KIND_FAMILY) => "family".to_owned(),
        (FileKind::Metadata, metadata::KIND_END) => "end".to_owned(),
        (FileKind::PushGroup, push_groups::KIND_GROUP) => "group".to_owned(),
        (FileKind::Detector | FileKind::Rules | FileKind::Silences | FileKind::Calendar, _) => {
            format!("state, kind {kind}")
        }
        _ => format!("unknown kind {kind}"),
    }
}

fn incident_lines(payload: &[u8]) -> Lines {
    let incidents::Entry { id, at_ms, body } = incidents::Entry::decode(payload)?;
    Ok(vec![format!("{id}  {}", Moment(at_ms)), body.to_owned()])
}

fn group_lines(payload: &[u8]) -> Lines {
    let group = push_groups::Group::decode(payload)?;
    let (ttl_ms, pushed_ms, failed_ms) = (group.ttl_ms, group.pushed_ms, group.failed_ms);
    let mut lines = vec![format!("{:?}  ttl {ttl_ms} ms, pushed at {pushed_ms}, failed at {failed_ms}", group.labels)];
    for family in &group.families {
        lines.extend(family.series.iter().map(|series| format!("{:?}  {}", series.labels, series.value)));
    }
    lines.extend(group.ended.iter().map(|labels| format!("{labels:?}  ended")));
    Ok(lines)
}

fn series_lines(payload: &[u8]) -> Lines {
    decode_series(payload)
        .map(|series| series.map(|series| format!("{}  {}", series.reference, Braces(&series.labels))))
        .collect()
}

fn sample_lines(
    decode: impl FnOnce(&mut dyn FnMut(u64, i64, f64)) -> Result<u32, storage_format::Corruption>,
) -> Lines {
    let mut lines = Vec::new();
    decode(&mut |reference, timestamp_ms, value| {
        lines.push(format!("{reference}  {}  {}", Moment(timestamp_ms), Value(value)));
    })?;
    Ok(lines)
}

fn deletion_lines(payload: &[u8]) -> Lines {
    let deletion = decode_deletion(payload)?;
    let mut lines = vec![format!("from {} to {} of", Moment(deletion.from_ms), Moment(deletion.to_ms))];
    lines.extend(deletion.references.iter().map(u64::to_string));
    Ok(lines)
}

fn notification_lines(payload: &[u8]) -> Lines {
    let told = Notification::decode(payload)?;
    let ends = if told.ends_at_ms == 0 { "still on".to_owned() } else { format!("to {}", Moment(told.ends_at_ms)) };
    Ok(vec![
        format!("{}  {:?}, fingerprint {:016x}", told.id, told.status, told.fingerprint),
        format!("from {}, {ends}, created {}", Moment(told.starts_at_ms), Moment(told.created_ms)),
        told.body.to_owned(),
    ])
}

fn delivered_lines(payload: &[u8]) -> Lines {
    let told = Delivered::decode(payload)?;
    let Delivered { id, receiver_index, receiver, at_ms, http_status } = told;
    Ok(vec![format!("{id}  to {receiver} ({receiver_index}) at {}, status {http_status}", Moment(at_ms))])
}

fn given_up_lines(payload: &[u8]) -> Lines {
    let told = GivenUp::decode(payload)?;
    Ok(vec![format!("{}  to {} at {}: {}", told.id, told.receiver, Moment(told.at_ms), told.reason)])
}

fn message_lines(payload: &[u8]) -> Lines {
    let message = Message::decode(payload)?;
    let mut lines = told_lines(&message.told);
    lines.push(message.body.to_owned());
    Ok(lines)
}

fn told_lines(told: &Told<'_>) -> Vec<String> {
    let prints = |set: &[u64]| set.iter().map(|one| format!("{one:016x}")).collect::<Vec<_>>().join(" ");
    let (at, expires) = (Moment(told.at_ms), Moment(told.expires_ms));
    vec![
        format!(
            "{}  to {} at {at}, {} of group {}, kept until {expires}",
            told.id, told.receiver, told.sequence, told.group_key
        ),
        format!("firing [{}], resolved [{}]", prints(&told.firing), prints(&told.resolved)),
    ]
}

fn family_lines(payload: &[u8]) -> Lines {
    let Family { name, metric_type, help, unit } = Family::decode(payload)?;
    Ok(vec![format!("{name}  type {metric_type}, unit {unit:?}, help {help:?}")])
}

fn postings_lines(reader: &BlockReader<&[u8]>) -> Lines {
    let mut lines = Vec::new();
    for name in reader.label_names()? {
        for entry in reader.values_of(name)? {
            let (value, list) = entry?;
            let mut series = Vec::new();
            list.read(&mut series)?;
            lines.push(format!("{name}={value:?}  {} series: {series:?}", series.len()));
        }
    }
    Ok(lines)
}

/// Labels as PromQL writes them.
struct Braces<'a>(&'a [(&'a str, &'a str)]);

impl Display for Braces<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(out, "{{{}}}", pairs.join(", "))
    }
}

/// A value; NaNs by their bits, as only these tell the staleness marker from others.
struct Value(f64);

impl Display for Value {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.to_bits() {
            STALE_NAN_BITS => write!(out, "stale"),
            bits if self.0.is_nan() => write!(out, "NaN {bits:016x}"),
            _ => write!(out, "{}", self.0),
        }
    }
}

/// A moment in ms since 1970 UTC, as a date where it has four digits for the year.
struct Moment(i64);

impl Display for Moment {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        if !(0..2_932_897).contains(&days) {
            return write!(out, "{} ms", self.0);
        }
        let (year, month, day) = date(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(mut days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}
