//! Histograms as columns, as a block keeps them.

use std::sync::Arc;

use super::layout::Layout;
use super::page::{Family, Gathered, Run, families, fits, gather};
use super::{HINT_MAX, Histogram, PAGE_NUMBERS_MAX, PAGE_SAMPLES_MAX, TOTALS};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint};
use crate::column::{Decoder, Effort, Encoder, Numbers};

/// Column of the counts, which the columns behind it may refer to.
const COUNT: usize = 1;

/// Appends these histograms as pages. Panics when counts and layout of one do not fit each other.
pub fn encode_pages(mut histograms: &[Histogram], effort: Effort, out: &mut Vec<u8>) {
    histograms.iter().for_each(Histogram::assert_whole);
    let mut encoder = Encoder::default();
    while !histograms.is_empty() {
        let (samples, gathered) = gather(histograms);
        let page = encode_page(&histograms[..samples], &gathered, effort, &mut encoder);
        append_varint(out, samples as u64);
        append_varint(out, page.len() as u64);
        out.extend_from_slice(&page);
        histograms = &histograms[samples..];
    }
}

fn encode_page(histograms: &[Histogram], gathered: &Gathered, effort: Effort, encoder: &mut Encoder) -> Vec<u8> {
    let mut out = Vec::new();
    append_varint(&mut out, gathered.layouts.len() as u64);
    gathered.layouts.iter().for_each(|layout| layout.encode(&mut out));
    for run in &gathered.runs {
        append_varint(&mut out, run.length as u64);
        let what = run.what.map_or(0, |(layout, hint)| (layout << 2 | usize::from(hint)) + 1);
        append_varint(&mut out, what as u64);
    }
    for family in families(&gathered.layouts, &gathered.runs) {
        let columns = columns_of(&family, histograms, gathered);
        append_columns(&columns, effort, encoder, &mut out);
    }
    out
}

/// The numbers of one family's samples, column by column.
fn columns_of(family: &Family, histograms: &[Histogram], gathered: &Gathered) -> Vec<Vec<f64>> {
    let mut columns = vec![Vec::with_capacity(family.samples); family.columns_count()];
    let mut rest = histograms;
    for run in &gathered.runs {
        let (of_run, behind) = rest.split_at(run.length);
        rest = behind;
        let Some((layout, _)) = run.what.filter(|(layout, _)| family.layouts.contains(layout)) else { continue };
        let places = family.places(&gathered.layouts[layout]);
        for histogram in of_run {
            append_sample(histogram, &places, &mut columns);
        }
    }
    columns
}

/// A bucket that the sample does not have stays as it was, which costs nothing.
fn append_sample(histogram: &Histogram, places: &[u32], columns: &mut [Vec<f64>]) {
    let (totals, buckets) = columns.split_at_mut(TOTALS);
    for (column, number) in totals.iter_mut().zip([histogram.sum, histogram.count, histogram.zero_count]) {
        column.push(number);
    }
    for column in buckets.iter_mut() {
        column.push(column.last().copied().unwrap_or(0.0));
    }
    for (&place, number) in places.iter().zip(histogram.buckets()) {
        *buckets[place as usize].last_mut().expect("one was pushed") = number;
    }
}

fn append_columns(columns: &[Vec<f64>], effort: Effort, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut counts = Numbers::default();
    let mut body = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        let mut numbers = Numbers::default();
        numbers.read(column, effort, None);
        let reference = (number > COUNT).then_some(&counts.integers[..]);
        body.clear();
        encoder.encode(&numbers, effort, reference, &mut body);
        append_varint(out, body.len() as u64);
        out.extend_from_slice(&body);
        if number == COUNT {
            counts = numbers;
        }
    }
}

/// Reads pages sample by sample, into one histogram that it keeps. It holds one page's numbers at a time.
#[derive(Debug)]
pub struct PagesReader<'a> {
    cursor: Cursor<'a>,
    /// Samples of pages that are not open yet.
    left: usize,
    decoder: Decoder,
    page: Page,
    histogram: Histogram,
}

/// A page that is open.
#[derive(Debug, Default)]
struct Page {
    layouts: Vec<Arc<Layout>>,
    /// Where the buckets of each layout are, and in which family's columns.
    places: Vec<(usize, Vec<u32>)>,
    families: Vec<Opened>,
    /// Runs that are not over, the next one last.
    runs: Vec<Run>,
}

/// The columns of one family, and how many of their samples are read.
#[derive(Debug)]
struct Opened {
    columns: Vec<Vec<f64>>,
    position: usize,
}

impl<'a> PagesReader<'a> {
    /// Of exactly these bytes, which hold `count` samples.
    pub fn new(bytes: &'a [u8], count: usize) -> PagesReader<'a> {
        PagesReader {
            cursor: Cursor::new(bytes),
            left: count,
            decoder: Decoder::default(),
            page: Page::default(),
            histogram: Histogram::default(),
        }
    }

    /// The next histogram, or `None` behind the last. After damage there is no more.
    pub fn read(&mut self) -> Result<Option<&Histogram>, Corruption> {
        if self.page.runs.is_empty() {
            if self.left == 0 {
                self.cursor.expect_end()?;
                return Ok(None);
            }
            if let Err(corruption) = self.open_page() {
                (self.left, self.page.runs) = (0, Vec::new());
                return Err(corruption);
            }
        }
        self.page.take_sample(&mut self.histogram);
        Ok(Some(&self.histogram))
    }

    fn open_page(&mut self) -> Result<(), Corruption> {
        let at = self.cursor.position();
        let samples = usize::try_from(self.cursor.varint()?).ok();
        let samples = samples.filter(|samples| (1..=self.left.min(PAGE_SAMPLES_MAX)).contains(samples));
        let samples = samples.ok_or(Corruption::at(at, "a page has no samples or too many"))?;
        let bytes_count = self.cursor.count(1)?;
        let base = self.cursor.position() as u64;
        let bytes = self.cursor.take(bytes_count)?;
        self.page = Page::open(bytes, samples, &mut self.decoder).map_err(|corruption| corruption.moved(base))?;
        self.left -= samples;
        Ok(())
    }
}

impl Page {
    fn open(bytes: &[u8], samples: usize, decoder: &mut Decoder) -> Result<Page, Corruption> {
        let mut cursor = Cursor::new(bytes);
        let layouts = read_layouts(&mut cursor)?;
        let mut runs = read_runs(&mut cursor, layouts.len(), samples)?;
        let families = families(&layouts, &runs);
        if samples > 1 && !fits(&layouts, &families, samples) {
            return Err(cursor.corruption("a page holds too many numbers"));
        }
        let mut page = Page { places: vec![(0, Vec::new()); layouts.len()], layouts, ..Page::default() };
        for (number, family) in families.iter().enumerate() {
            for &layout in &family.layouts {
                page.places[layout] = (number, family.places(&page.layouts[layout]));
            }
            page.families.push(Opened { columns: read_columns(&mut cursor, family, decoder)?, position: 0 });
        }
        cursor.expect_end()?;
        runs.reverse();
        page.runs = runs;
        Ok(page)
    }

    fn take_sample(&mut self, histogram: &mut Histogram) {
        let run = self.runs.last_mut().expect("a page without runs is not open");
        let what = run.what;
        run.length -= 1;
        if run.length == 0 {
            self.runs.pop();
        }
        let Some((layout, hint)) = what else {
            *histogram = Histogram::stale();
            return;
        };
        let (family, places) = &self.places[layout];
        let opened = &mut self.families[*family];
        let number = |column: usize| opened.columns[column][opened.position];
        if !Arc::ptr_eq(&histogram.layout, &self.layouts[layout]) {
            histogram.layout = self.layouts[layout].clone();
            histogram.positive.resize(histogram.layout.positive_count(), 0.0);
            histogram.negative.resize(histogram.layout.negative_count(), 0.0);
        }
        histogram.hint = hint;
        (histogram.sum, histogram.count, histogram.zero_count) = (number(0), number(COUNT), number(2));
        for (count, &place) in histogram.buckets_mut().zip(places) {
            *count = number(TOTALS + place as usize);
        }
        opened.position += 1;
    }
}

fn read_layouts(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<Layout>>, Corruption> {
    // A schema, a threshold and three numbers of none.
    const LAYOUT_BYTES_MIN: usize = 12;
    let at = cursor.position();
    let count = cursor.count(LAYOUT_BYTES_MIN)?;
    let mut layouts = Vec::with_capacity(count);
    let mut buckets = 0;
    for _ in 0..count {
        let layout = Layout::decode(cursor)?;
        buckets += layout.buckets_count();
        if buckets > PAGE_NUMBERS_MAX {
            return Err(Corruption::at(at, "a page has too many buckets"));
        }
        layouts.push(Arc::new(layout));
    }
    Ok(layouts)
}

fn read_runs(cursor: &mut Cursor<'_>, layouts: usize, samples: usize) -> Result<Vec<Run>, Corruption> {
    let mut runs: Vec<Run> = Vec::new();
    let mut used = vec![false; layouts];
    let mut left = samples;
    while left > 0 {
        let at = cursor.position();
        let length = usize::try_from(cursor.varint()?).ok().filter(|length| (1..=left).contains(length));
        let length = length.ok_or(Corruption::at(at, "a run is empty or ends behind its page"))?;
        left -= length;
        let what = match cursor.varint()?.checked_sub(1) {
            None => None,
            Some(what) => {
                let layout = usize::try_from(what >> 2).ok().filter(|layout| *layout < layouts);
                let layout = layout.ok_or(Corruption::at(at, "a run has a layout that there is not"))?;
                used[layout] = true;
                Some((layout, (what & u64::from(HINT_MAX)) as u8))
            }
        };
        runs.push(Run { length, what });
    }
    if used.contains(&false) {
        return Err(cursor.corruption("no sample has one of the layouts"));
    }
    Ok(runs)
}

fn read_columns(cursor: &mut Cursor<'_>, family: &Family, decoder: &mut Decoder) -> Result<Vec<Vec<f64>>, Corruption> {
    let mut columns = Vec::new();
    let (mut counts, mut numbers) = (Numbers::default(), Numbers::default());
    for number in 0..family.columns_count() {
        let length = cursor.count(1)?;
        let base = cursor.position() as u64;
        let body = cursor.take(length)?;
        let reference = (number > COUNT).then_some(&counts.integers[..]);
        let read = decoder.decode(body, family.samples, reference, &mut numbers);
        read.map_err(|corruption| corruption.moved(base))?;
        let mut values = Vec::with_capacity(family.samples);
        numbers.append_values(&mut values);
        columns.push(values);
        if number == COUNT {
            std::mem::swap(&mut counts, &mut numbers);
        }
    }
    Ok(columns)
}
