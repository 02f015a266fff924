//! One number of each native histogram: `histogram_sum(x)`, `histogram_avg(x)`, …; numbers are left out.

use crate::model::FloatHistogram;
use crate::query::column::Column;
use crate::query::eval::Context;
use crate::query::plan::Function;
use crate::query::table::Table;

/// The rows with that number in place of each histogram.
pub(super) fn each<'q>(context: &Context<'q>, table: Table<'q>, compute: fn(&FloatHistogram) -> f64) -> Table<'q> {
    let numbers = table.map(move |_, column| {
        let mut numbers = Column::absent(column.values.len());
        column.iter_histograms().for_each(|(step, histogram)| numbers.set(step, compute(histogram)));
        *column = numbers;
    });
    numbers.shed_names(context)
}

/// What computes the number that a function names.
pub(super) fn number(function: Function) -> Option<fn(&FloatHistogram) -> f64> {
    Some(match function {
        Function::HistogramCount => |histogram| histogram.count,
        Function::HistogramSum => |histogram| histogram.sum,
        Function::HistogramAvg => FloatHistogram::mean,
        Function::HistogramStddev => FloatHistogram::standard_deviation,
        Function::HistogramStdvar => FloatHistogram::variance,
        _ => return None,
    })
}
