//! What is asked of histograms of both kinds in one vector: `histogram_quantile`, `histogram_quantiles`,
//! `histogram_fraction`.
//!
//! ```text
//! x_bucket{node="1", le="0.1"}   10
//! x_bucket{node="1", le="+Inf"}  40     ─►  family x_bucket{node="1"}: two buckets
//! y{node="1"}         {{count:40}}      ─►  family y{node="1"}: a native histogram
//! ```
//!
//! A family is what has the same labels but for `le`. One that has buckets and a native histogram at the same step has no
//! answer there, and a number without a bound is no bucket; both are told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::buckets::{fraction, repaired_quantile};
use crate::model::{FloatHistogram, Labels, NanObservations};
use crate::query::column::Column;
use crate::query::error::QueryError;
use crate::query::eval::{Context, Scalar};
use crate::query::float::format_open_metrics;
use crate::query::syntax::Span;
use crate::query::syntax::quote;
use crate::query::table::with_label;
use crate::query::table::{Row, Scratch, Source, Table};

/// The label with a bucket's upper bound.
const BOUND: &str = "le";

/// What is asked of each histogram.
pub(super) enum Asked {
    /// `histogram_quantile(q, …)`
    Quantile(Scalar),
    /// `histogram_quantiles(…, label, q…)`: a row for each.
    Quantiles(String, Vec<Scalar>),
    /// `histogram_fraction(lower, upper, …)`
    Fraction(Scalar, Scalar),
}

/// Where things stand that are remarked upon.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// The vector.
    pub(super) vector: Span,
    /// What is blamed for buckets that had to be repaired.
    pub(super) repair: Span,
}

/// One row for each histogram among the rows, and for each quantile if there may be several.
pub(super) fn of_histograms<'q>(
    context: &Context<'q>,
    asked: Asked,
    inner: Table<'q>,
    places: Places,
) -> Result<Table<'q>, QueryError> {
    let steps = context.grid.count;
    let questions = questions(asked, steps)?;
    // Rows that are read for several questions are computed once.
    let inner = if questions.len() == 1 { inner } else { Table::held(inner.collect(context.budget, steps)?) };
    let unexpected = Mutex::new(BTreeSet::new());
    let families = Families::of(&inner.rows);
    let asker = Asker { context, inner: &inner, questions: &questions, places, unexpected: &unexpected };
    let mut answers = asker.ask(families)?;
    let unexpected = std::mem::take(&mut *unexpected.lock());
    if !unexpected.is_empty() {
        answers.extend(asker.ask(Families::of_natives(&inner.rows, unexpected))?);
    }
    Ok(Table::held(answers).shed_names(context))
}

/// What is asked of a histogram for one row of the answer.
enum Question {
    Quantile(Scalar),
    /// A quantile at the steps that ask for this one, and the label that says which it is.
    Labelled {
        label: String,
        text: String,
        q: f64,
        asked: Scalar,
    },
    Fraction(Scalar, Scalar),
}

/// Most quantiles that one argument may go through over the steps.
const QUANTILES_MAX: usize = 1_000;

fn questions(asked: Asked, steps: usize) -> Result<Vec<Question>, QueryError> {
    let (label, all) = match asked {
        Asked::Quantile(q) => return Ok(vec![Question::Quantile(q)]),
        Asked::Fraction(lower, upper) => return Ok(vec![Question::Fraction(lower, upper)]),
        Asked::Quantiles(label, all) => (label, all),
    };
    let mut questions = Vec::new();
    for asked in all {
        let different: BTreeSet<u64> = (0..steps).map(|step| asked.at(step).to_bits()).collect();
        if different.len() > QUANTILES_MAX {
            let what = format!("more than {QUANTILES_MAX} different quantiles are asked for by one argument");
            return Err(QueryError::Execution(what));
        }
        questions.extend(different.into_iter().map(f64::from_bits).map(|q| Question::Labelled {
            label: label.clone(),
            text: format_open_metrics(q),
            q,
            asked: asked.clone(),
        }));
    }
    Ok(questions)
}

/// The rows of one histogram.
struct Family {
    labels: Arc<Labels>,
    /// Upper bound and row of each bucket.
    buckets: Vec<(f64, usize)>,
    /// The row whose native histograms these are, and whose numbers are no buckets.
    native: Option<usize>,
}

struct Families(Vec<Family>);

impl Families {
    fn of(rows: &[Row]) -> Families {
        let mut known: HashMap<Arc<Labels>, usize> = HashMap::new();
        let mut families = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let bound = bound(&row.labels);
            let labels = match bound {
                Some(_) => Arc::new(row.labels.filtered(|name| name != BOUND)),
                None => row.labels.clone(),
            };
            let family = *known.entry(labels).or_insert_with_key(|labels| {
                families.push(Family { labels: labels.clone(), buckets: Vec::new(), native: None });
                families.len() - 1
            });
            match bound {
                Some(bound) => families[family].buckets.push((bound, index)),
                None => families[family].native = Some(index),
            }
        }
        Families(families)
    }

    /// Rows with native histograms that are also buckets of a classic one: each is a family of its own.
    fn of_natives(rows: &[Row], natives: BTreeSet<usize>) -> Families {
        let family = |row: usize| Family { labels: rows[row].labels.clone(), buckets: Vec::new(), native: Some(row) };
        Families(natives.into_iter().map(family).collect())
    }
}

/// The upper bound that a row's labels tell.
fn bound(labels: &Labels) -> Option<f64> {
    labels.get(BOUND)?.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

struct Asker<'a, 'q> {
    context: &'a Context<'q>,
    inner: &'a Table<'q>,
    questions: &'a [Question],
    places: Places,
    /// Buckets that turned out to have native histograms.
    unexpected: &'a Mutex<BTreeSet<usize>>,
}

impl Asker<'_, '_> {
    /// The rows that have an answer at any step.
    fn ask(&self, families: Families) -> Result<Vec<(Row, Column)>, QueryError> {
        let mut rows = Vec::new();
        for family in &families.0 {
            for question in self.questions {
                rows.push(Row::new(match question {
                    Question::Labelled { label, text, .. } => Arc::new(with_label(&family.labels, label, text)?),
                    _ => family.labels.clone(),
                }));
            }
        }
        let table = Table::new(rows, Answers { asker: self, families: families.0 });
        table.collect(self.context.budget, self.context.grid.count)
    }

    /// The name that remarks tell: none where it is gone from the answer already.
    fn name_of<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.context.delays_names { labels.metric_name().unwrap_or("") } else { "" }
    }

    fn warn_of_bound(&self, labels: &Labels) {
        let value = quote(labels.get(BOUND).unwrap_or(""));
        let what = format!("bucket label {} is missing or has a malformed value of {value}", quote(BOUND));
        self.context.notes.warn(self.places.vector, of_metric(&what, labels.metric_name().unwrap_or("")));
    }

    fn warn_of_mix(&self, labels: &Labels) {
        let what = "vector contains a mix of classic and native histograms";
        self.context.notes.warn(self.places.vector, of_metric(what, labels.metric_name().unwrap_or("")));
    }

    /// The answer, and what is to be said of it.
    fn of_native(question: &Question, step: usize, histogram: &FloatHistogram) -> (f64, Option<&'static str>) {
        let estimate = match question {
            Question::Fraction(lower, upper) => {
                let estimate = histogram.fraction(lower.at(step), upper.at(step));
                return (estimate.value, (estimate.nan != NanObservations::None).then_some(NAN_IN_NO_FRACTION));
            }
            Question::Quantile(q) => histogram.quantile(q.at(step)),
            Question::Labelled { q, .. } => histogram.quantile(*q),
        };
        let what = match estimate.nan {
            NanObservations::None => None,
            NanObservations::Answer => Some(NAN_IS_QUANTILE),
            NanObservations::Counted => Some(NAN_ABOVE_QUANTILE),
        };
        (estimate.value, what)
    }

    fn of_classic(&self, question: &Question, step: usize, counts: &mut Vec<(f64, f64)>, labels: &Labels) -> f64 {
        let q = match question {
            Question::Fraction(lower, upper) => return fraction(lower.at(step), upper.at(step), counts),
            Question::Quantile(q) => q.at(step),
            Question::Labelled { q, .. } => *q,
        };
        let (value, repair) = repaired_quantile(q, counts);
        if let Some(repair) = repair {
            let what = of_metric(REPAIRED, self.name_of(labels));
            self.context.notes.repaired(self.places.repair, what, self.context.grid.time_ms(step), repair);
        }
        value
    }
}

const NAN_IS_QUANTILE: &str = "input to histogram_quantile has NaN observations, result is NaN";
const NAN_ABOVE_QUANTILE: &str = "input to histogram_quantile has NaN observations, result is skewed higher";
const NAN_IN_NO_FRACTION: &str =
    "input to histogram_fraction has NaN observations, which are excluded from all fractions";
const REPAIRED: &str = "input to histogram_quantile needed to be fixed for monotonicity (see \
                        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

fn of_metric(what: &str, name: &str) -> String {
    if name.is_empty() { what.to_owned() } else { format!("{what} for metric name {}", quote(name)) }
}

struct Answers<'a> {
    asker: &'a Asker<'a, 'a>,
    families: Vec<Family>,
}

impl Source for Answers<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (asker, steps) = (self.asker, self.asker.context.grid.count);
        let question = &asker.questions[index % asker.questions.len()];
        let family = &self.families[index / asker.questions.len()];
        let budget = asker.context.budget;
        let _held = budget.hold((family.buckets.len() + 1) * steps)?;
        let mut read = |row: usize| {
            budget.check()?;
            asker.inner.source.column(row, scratch)
        };
        let native = family.native.map(&mut read).transpose()?;
        let mut buckets = Vec::with_capacity(family.buckets.len());
        for (bound, row) in &family.buckets {
            let column = read(*row)?;
            if column.iter_histograms().next().is_some() {
                asker.unexpected.lock().insert(*row);
            }
            buckets.push((*bound, column));
        }
        // Of a bucket that has native histograms the numbers are counted elsewhere.
        let is_bucket = family.buckets.is_empty() && bound(&family.labels).is_some();
        if !is_bucket && native.as_ref().is_some_and(|native| !native.present.is_empty()) {
            asker.warn_of_bound(&family.labels);
        }
        let mut result = Column::absent(steps);
        let mut counts = Vec::with_capacity(buckets.len());
        let mut meter = budget.meter();
        // What is said is the same at every step: it is said once.
        let (mut is_mixed, mut said) = (false, BTreeSet::new());
        for step in (0..steps).filter(|step| question.is_asked_at(*step)) {
            meter.work(buckets.len())?;
            counts.clear();
            counts.extend(buckets.iter().filter_map(|(bound, column)| Some((*bound, column.get(step)?))));
            match native.as_ref().and_then(|native| native.histogram(step)) {
                Some(_) if !counts.is_empty() => is_mixed = true,
                Some(histogram) => {
                    let (value, what) = Asker::of_native(question, step, histogram);
                    result.set(step, value);
                    said.extend(what);
                }
                None if counts.is_empty() => {}
                None => result.set(step, asker.of_classic(question, step, &mut counts, &family.labels)),
            }
        }
        if is_mixed {
            asker.warn_of_mix(&family.labels);
        }
        for what in said {
            asker.context.notes.inform(asker.places.vector, of_metric(what, asker.name_of(&family.labels)));
        }
        Ok(result)
    }
}

impl Question {
    fn is_asked_at(&self, step: usize) -> bool {
        match self {
            Question::Labelled { q, asked, .. } => asked.at(step).to_bits() == q.to_bits(),
            Question::Quantile(_) | Question::Fraction(..) => true,
        }
    }
}
