//! Whole groups: all columns of a target over so many scrapes, with their timestamps, rows and checksums.

use std::hint::black_box;
use std::path::Path;

use anyhow::ensure;
use storage_format::column::{Effort, SAMPLES_MAX};
use storage_format::group::{COLUMNS_MAX, Column as Input, GroupEncoder, GroupReader, Scratch};

use super::{Column, Flags, best, pco_bytes};

pub(super) fn report(file: &Path, columns: &[Column], flags: &Flags) -> anyhow::Result<()> {
    let groups = split(columns, flags.samples);
    let samples: usize = groups.iter().flatten().map(|column| column.values.len()).sum();
    let column_count: usize = groups.iter().map(Vec::len).sum();
    let mut pco = 0;
    for column in groups.iter().flatten() {
        ensure!(column.values.len() <= SAMPLES_MAX, "{} has too many samples in one group", column.name);
        pco += pco_bytes(&column.values)?;
    }
    println!("{}: {} groups, {column_count} columns, {samples} samples", file.display(), groups.len());
    println!("pco of the values alone: {:.4} bytes a sample", pco as f64 / samples as f64);
    for (name, effort) in [("fresh", Effort::Fresh), ("compact", Effort::Compact)] {
        let encoded = encode(&groups, effort);
        let shape = Shape::check(&encoded, &groups)?;
        let each = |bytes: usize| bytes as f64 / samples as f64;
        let bytes = encoded.iter().map(Vec::len).sum();
        println!(
            "{name:8} {:.4} bytes a sample, of them {:.4} beside columns",
            each(bytes),
            each(bytes - shape.bodies)
        );
        println!("         {} copies; columns by references to the root: {:?}", shape.copies, shape.by_depth);
        let encode = best(flags.rounds, || drop(black_box(encode(&groups, effort))));
        let decode = best(flags.rounds, || decode(&encoded));
        let rate = |time: std::time::Duration| samples as f64 / time.as_secs_f64() / 1e6;
        println!("         encode {:.1}, decode {:.1} M samples/s", rate(encode), rate(decode));
    }
    Ok(())
}

/// The columns of each target, cut after each so many scrapes of its longest one.
fn split(columns: &[Column], scrapes: usize) -> Vec<Vec<Column>> {
    fn target(column: &Column) -> Option<&str> {
        column.name.split(' ').next()
    }
    let mut groups = Vec::new();
    for target in columns.chunk_by(|a, b| target(a) == target(b)) {
        let longest = target.iter().max_by_key(|column| column.values.len()).expect("chunks are not empty");
        let mut end = i64::MIN;
        for times in longest.timestamps_ms.chunks(scrapes) {
            let start = end;
            end = times.last().map_or(i64::MAX, |last| last + 1);
            let pieces = target.iter().map(|column| piece(column, start, end)).filter(|piece| !piece.values.is_empty());
            let pieces: Vec<Column> = pieces.collect();
            groups.extend(pieces.chunks(COLUMNS_MAX).map(<[Column]>::to_vec));
        }
    }
    groups
}

fn piece(column: &Column, start: i64, end: i64) -> Column {
    let place = |bound: i64| column.timestamps_ms.partition_point(|time| *time < bound);
    let range = place(start)..place(end);
    Column {
        name: column.name.clone(),
        timestamps_ms: column.timestamps_ms[range.clone()].to_vec(),
        values: column.values[range].to_vec(),
    }
}

fn encode(groups: &[Vec<Column>], effort: Effort) -> Vec<Vec<u8>> {
    let mut encoder = GroupEncoder::default();
    let encode_one = |group: &Vec<Column>| {
        let input = |column| {
            let Column { timestamps_ms, values, .. }: &Column = column;
            Input { timestamps_ms, values }
        };
        let inputs: Vec<Input<'_>> = group.iter().map(input).collect();
        let mut bytes = Vec::new();
        encoder.encode(&inputs, effort, &mut bytes).expect("it reads back");
        bytes
    };
    groups.iter().map(encode_one).collect()
}

fn decode(encoded: &[Vec<u8>]) {
    let mut scratch = Scratch::default();
    let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
    for bytes in encoded {
        let group = GroupReader::open(bytes).expect("it was just encoded");
        for column in 0..group.column_count() {
            timestamps_ms.clear();
            values.clear();
            group.read(column, &mut scratch, &mut timestamps_ms, &mut values).expect("it was just encoded");
            black_box((&timestamps_ms, &values));
        }
    }
}

/// What the groups are made of.
#[derive(Default)]
struct Shape {
    bodies: usize,
    copies: usize,
    /// Columns with bytes of their own.
    by_depth: [usize; 3],
}

impl Shape {
    /// Takes the groups apart and compares every sample.
    fn check(encoded: &[Vec<u8>], groups: &[Vec<Column>]) -> anyhow::Result<Shape> {
        let mut shape = Shape::default();
        let mut scratch = Scratch::default();
        for (bytes, group) in encoded.iter().zip(groups) {
            let reader = GroupReader::open(bytes)?;
            for (index, column) in group.iter().enumerate() {
                let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
                reader.read(index, &mut scratch, &mut timestamps_ms, &mut values)?;
                let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
                let equal = timestamps_ms == column.timestamps_ms && bits(&values) == bits(&column.values);
                ensure!(equal, "{} does not come back", column.name);
                shape.bodies += reader.body_bytes(index);
                if reader.is_copy(index) {
                    shape.copies += 1;
                } else {
                    let chain = std::iter::successors(reader.reference(index), |column| reader.reference(*column));
                    shape.by_depth[chain.count()] += 1;
                }
            }
        }
        Ok(shape)
    }
}
