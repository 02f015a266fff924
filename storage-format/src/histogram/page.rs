//! What is in one page: its layouts, which sample has which, and where each bucket's column is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::layout::indexes;
use super::{Histogram, Layout, PAGE_NUMBERS_MAX, PAGE_SAMPLES_MAX, TOTALS};

/// Neighbours with one layout and one hint; of stale markers there is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) length: usize,
    /// Index of the layout, and the hint.
    pub(super) what: Option<(usize, u8)>,
}

/// Layouts whose buckets can share columns.
#[derive(Debug)]
pub(super) struct Family {
    /// Indexes of its layouts.
    pub(super) layouts: Vec<usize>,
    /// Indexes of the buckets that any of them has.
    positive: Vec<i64>,
    negative: Vec<i64>,
    /// Its samples in the page.
    pub(super) samples: usize,
}

impl Family {
    /// Columns of buckets.
    pub(super) fn buckets_count(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// All columns.
    pub(super) fn columns_count(&self) -> usize {
        TOTALS + self.buckets_count()
    }

    /// For each bucket of the layout, those above zero first, its place among the columns of buckets.
    pub(super) fn places(&self, layout: &Layout) -> Vec<u32> {
        let within = |union: &[i64], spans: &[super::Span], base: usize| -> Vec<u32> {
            let mut at = 0;
            indexes(spans)
                .map(|index| {
                    at += union[at..].iter().take_while(|held| **held < index).count();
                    (base + at) as u32
                })
                .collect()
        };
        let mut places = within(&self.positive, &layout.positive, 0);
        places.extend(within(&self.negative, &layout.negative, self.positive.len()));
        places
    }
}

/// Families as they grow layout by layout.
#[derive(Debug, Default)]
struct Growing {
    families: Vec<GrowingFamily>,
}

#[derive(Debug, Default)]
struct GrowingFamily {
    layouts: Vec<usize>,
    positive: BTreeSet<i64>,
    negative: BTreeSet<i64>,
}

impl Growing {
    /// Adds the last of the layouts.
    fn add_last(&mut self, layouts: &[Arc<Layout>]) {
        let number = layouts.len() - 1;
        let known = self.families.iter().position(|family| layouts[family.layouts[0]].same_frame(&layouts[number]));
        let known = known.unwrap_or_else(|| {
            self.families.push(GrowingFamily::default());
            self.families.len() - 1
        });
        let family = &mut self.families[known];
        family.layouts.push(number);
        family.positive.extend(indexes(&layouts[number].positive));
        family.negative.extend(indexes(&layouts[number].negative));
    }

    /// Columns of the family that has most.
    fn columns_max(&self) -> usize {
        let columns = self.families.iter().map(|family| TOTALS + family.positive.len() + family.negative.len());
        columns.max().unwrap_or(0)
    }
}

/// The families of these layouts, in the order in which they come, for `runs` over them.
pub(super) fn families(layouts: &[Arc<Layout>], runs: &[Run]) -> Vec<Family> {
    let mut samples = vec![0; layouts.len()];
    for run in runs {
        if let Some((layout, _)) = run.what {
            samples[layout] += run.length;
        }
    }
    let mut growing = Growing::default();
    for count in 1..=layouts.len() {
        growing.add_last(&layouts[..count]);
    }
    let finished = growing.families.into_iter().map(|family| Family {
        samples: family.layouts.iter().map(|&layout| samples[layout]).sum(),
        layouts: family.layouts,
        positive: family.positive.into_iter().collect(),
        negative: family.negative.into_iter().collect(),
    });
    finished.collect()
}

/// Whether so much may be in one page. A page of one sample may always be.
pub(super) fn fits(layouts: &[Arc<Layout>], families: &[Family], samples: usize) -> bool {
    let numbers: usize = families.iter().map(|family| family.columns_count() * family.samples).sum();
    let buckets: usize = layouts.iter().map(|layout| layout.buckets_count()).sum();
    samples <= PAGE_SAMPLES_MAX && numbers <= PAGE_NUMBERS_MAX && buckets <= PAGE_NUMBERS_MAX
}

/// Layouts and runs of samples as a writer gathers them.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) layouts: Vec<Arc<Layout>>,
    pub(super) runs: Vec<Run>,
}

impl Gathered {
    /// Adds one sample; answers whether that made a new layout.
    pub(super) fn add(&mut self, histogram: &Histogram) -> bool {
        let layouts_before = self.layouts.len();
        let what = (!histogram.is_plain_stale()).then(|| (self.layout(&histogram.layout), histogram.hint));
        match self.runs.last_mut() {
            Some(run) if run.what == what => run.length += 1,
            _ => self.runs.push(Run { length: 1, what }),
        }
        self.layouts.len() > layouts_before
    }

    /// Takes the last sample out again.
    pub(super) fn remove_last(&mut self, made_layout: bool) {
        let run = self.runs.last_mut().expect("a sample was added");
        run.length -= 1;
        if run.length == 0 {
            self.runs.pop();
        }
        if made_layout {
            self.layouts.pop();
        }
    }

    fn layout(&mut self, layout: &Arc<Layout>) -> usize {
        // The last one is nearly always the one.
        let known = self.layouts.iter().rposition(|known| Arc::ptr_eq(known, layout) || known == layout);
        known.unwrap_or_else(|| {
            self.layouts.push(layout.clone());
            self.layouts.len() - 1
        })
    }
}

/// How many of the first of these histograms one page takes, at least one, with its layouts and runs.
pub(super) fn gather(histograms: &[Histogram]) -> (usize, Gathered) {
    let (mut gathered, mut growing, mut buckets) = (Gathered::default(), Growing::default(), 0);
    for (samples, histogram) in histograms.iter().enumerate() {
        let made_layout = gathered.add(histogram);
        if made_layout {
            growing.add_last(&gathered.layouts);
            buckets += histogram.layout.buckets_count();
        }
        // Each sample counts as one of the widest family: near enough, and cheap to know.
        let numbers = growing.columns_max() * (samples + 1);
        let is_full = samples >= PAGE_SAMPLES_MAX || numbers > PAGE_NUMBERS_MAX || buckets > PAGE_NUMBERS_MAX;
        if is_full && samples > 0 {
            gathered.remove_last(made_layout);
            return (samples, gathered);
        }
    }
    (histograms.len(), gathered)
}
