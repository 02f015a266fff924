//! Building an index: series and columns come in any order, numbers are given when all are known.

use std::collections::HashMap;

use super::entry::{ColumnRef, Entry};
use super::groups::{self, GroupMeta, Origin};
use super::lists::ListEncoder;
use super::series::RUN_SERIES;
use super::symbols::{self, SYMBOL_BYTES_MAX};

/// Gathers series and groups, and encodes the four regions of an index.
///
/// A series takes four bytes for each label and twelve for each column; each text and each pair is kept once. Until
/// [`IndexWriter::encode`] symbols, pairs and series have the numbers of their coming.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    symbol_of: HashMap<Box<str>, u32>,
    pair_of: HashMap<(u32, u32), u32>,
    /// Name and value of each pair.
    pairs: Vec<(u32, u32)>,
    /// The pairs of all series.
    labels: Vec<u32>,
    /// Where the pairs of each series end.
    label_ends: Vec<usize>,
    /// Which series each column belongs to.
    columns: Vec<(u32, ColumnRef)>,
    groups: Vec<GroupMeta>,
}

/// The regions of an index, in their order in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Regions {
    pub(crate) symbols: Vec<u8>,
    pub(crate) postings: Vec<u8>,
    pub(crate) series: Vec<u8>,
    pub(crate) group_table: Vec<u8>,
}

impl IndexWriter {
    /// Adds a series and tells its number. Panics if its labels are not sorted by name, or one exceeds `SYMBOL_BYTES_MAX`.
    pub(crate) fn add_series<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> u32 {
        let mut name_before = None;
        for (name, value) in labels {
            assert!(name_before < Some(name), "label {name:?} does not come after {name_before:?}");
            name_before = Some(name);
            let longest = name.len().max(value.len());
            assert!(longest <= SYMBOL_BYTES_MAX, "label {name:?} has a text of {longest} bytes");
            let pair = self.pair(name, value);
            self.labels.push(pair);
        }
        self.label_ends.push(self.labels.len());
        u32::try_from(self.label_ends.len() - 1).expect("memory ends before 2^32 series")
    }

    /// Adds a group. Panics if a series is unknown.
    pub(crate) fn add_group(&mut self, group: &GroupMeta, columns: &[u32]) {
        let number = u32::try_from(self.groups.len()).expect("memory ends before 2^32 groups");
        for (column, series) in columns.iter().enumerate() {
            assert!(
                (*series as usize) < self.label_ends.len(),
                "column {column} is of series {series}, which is unknown"
            );
            self.columns.push((*series, ColumnRef { group: number, column: column as u32 }));
        }
        self.groups.push(*group);
    }

    /// Number of series.
    pub(crate) fn series_count(&self) -> usize {
        self.label_ends.len()
    }

    /// Number of groups.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Encodes everything; `None` if a region exceeds 32 bits. Panics if two series have the same labels, or a series
    /// has two columns in one group.
    pub(crate) fn encode(mut self, origin: Origin) -> Option<Regions> {
        let (symbols, symbol_numbers) = self.number_symbols();
        let pairs = self.number_pairs(&symbol_numbers);
        let order = self.order_series();
        let postings = self.encode_postings(&pairs, &order)?;
        let series = self.encode_series(&pairs, &order)?;
        Some(Regions { symbols, postings, series, group_table: groups::encode(&self.groups, origin)? })
    }

    fn pair(&mut self, name: &str, value: &str) -> u32 {
        let pair = (self.symbol(name), self.symbol(value));
        let number = u32::try_from(self.pairs.len()).expect("memory ends before 2^32 pairs");
        let pairs = &mut self.pairs;
        *self.pair_of.entry(pair).or_insert_with(|| {
            pairs.push(pair);
            number
        })
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(symbol) = self.symbol_of.get(text) {
            return *symbol;
        }
        let symbol = u32::try_from(self.symbol_of.len()).expect("memory ends before 2^32 symbols");
        self.symbol_of.insert(text.into(), symbol);
        symbol
    }

    /// The symbol region, and the final number of each symbol.
    fn number_symbols(&mut self) -> (Vec<u8>, Vec<u32>) {
        let mut texts: Vec<(Box<str>, u32)> = std::mem::take(&mut self.symbol_of).into_iter().collect();
        texts.sort_unstable();
        let mut numbers = vec![0; texts.len()];
        for (number, (_, came)) in texts.iter().enumerate() {
            numbers[*came as usize] = number as u32;
        }
        (symbols::encode(texts.iter().map(|(text, _)| &**text)), numbers)
    }

    /// Numbers pairs in their order, also in the labels of the series.
    fn number_pairs(&mut self, symbol_numbers: &[u32]) -> Pairs {
        self.pair_of = HashMap::new();
        let number = |(name, value): (u32, u32)| (symbol_numbers[name as usize], symbol_numbers[value as usize]);
        let mut sorted: Vec<((u32, u32), u32)> =
            std::mem::take(&mut self.pairs).into_iter().map(number).zip(0..).collect();
        sorted.sort_unstable();
        let mut numbers = vec![0; sorted.len()];
        let mut pairs = Pairs::default();
        for (index, ((name, value), came)) in sorted.into_iter().enumerate() {
            numbers[came as usize] = index as u32;
            pairs.push(name, value);
        }
        self.labels.iter_mut().for_each(|pair| *pair = numbers[*pair as usize]);
        pairs
    }

    /// The series in label order.
    fn order_series(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.series_count() as u32).collect();
        order.sort_unstable_by_key(|series| self.labels_of(*series));
        for two in order.windows(2) {
            assert_ne!(self.labels_of(two[0]), self.labels_of(two[1]), "series {two:?} have the same labels");
        }
        order
    }

    fn labels_of(&self, series: u32) -> &[u32] {
        let start = series.checked_sub(1).map_or(0, |before| self.label_ends[before as usize]);
        &self.labels[start..self.label_ends[series as usize]]
    }

    fn encode_postings(&self, pairs: &Pairs, order: &[u32]) -> Option<Vec<u8>> {
        let by_name = Lists::gather(order, pairs.names.len(), |series| {
            self.labels_of(series).iter().map(|pair| pairs.name_of[*pair as usize])
        });
        let by_pair = Lists::gather(order, pairs.values.len(), |series| self.labels_of(series).iter().copied());
        let (mut out, mut lists) = (Vec::new(), ListEncoder::default());
        out.extend_from_slice(&(pairs.names.len() as u32).to_le_bytes());
        out.extend_from_slice(&(pairs.values.len() as u32).to_le_bytes());
        for (name, (symbol, first_pair)) in pairs.names.iter().enumerate() {
            for field in [*symbol, *first_pair, u32::try_from(lists.out.len()).ok()?] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            lists.append(by_name.get(name));
        }
        for (pair, symbol) in pairs.values.iter().enumerate() {
            for field in [*symbol, u32::try_from(lists.out.len()).ok()?] {
                out.extend_from_slice(&field.to_le_bytes());
            }
            lists.append(by_pair.get(pair));
        }
        out.extend_from_slice(&lists.out);
        Some(out)
    }

    fn encode_series(&mut self, pairs: &Pairs, order: &[u32]) -> Option<Vec<u8>> {
        let mut columns = self.columns_in_order(order).into_iter().peekable();
        let (mut runs, mut entries, mut shapes) = (Vec::new(), Vec::new(), Shapes::default());
        let (mut entry, mut values, mut places) = (Entry::default(), Vec::new(), Vec::new());
        for (position, series) in (0u32..).zip(order) {
            if position.is_multiple_of(RUN_SERIES) {
                runs.push(u32::try_from(entries.len()).ok()?);
                entry.restart();
            }
            let labels = self.labels_of(*series);
            let shape = shapes.number(labels.iter().map(|pair| pairs.name_of[*pair as usize]));
            values.clear();
            values.extend(labels.iter().map(|pair| pairs.value_within_name(*pair)));
            places.clear();
            while let Some((_, place)) = columns.next_if(|(owner, _)| *owner == position) {
                places.push(place);
            }
            entry.append(&mut entries, shape, &values, &places);
        }
        let mut out = Vec::with_capacity(entries.len() + 4 * runs.len() + 64);
        let head = [order.len() as u32, shapes.ends.len() as u32];
        for number in head.iter().chain(&shapes.ends).chain(&runs).chain(&shapes.names) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&entries);
        Some(out)
    }

    /// The columns by position of their series in `order`, and then by group.
    fn columns_in_order(&mut self, order: &[u32]) -> Vec<(u32, ColumnRef)> {
        let mut position_of = vec![0; order.len()];
        for (position, series) in (0u32..).zip(order) {
            position_of[*series as usize] = position;
        }
        let mut columns = std::mem::take(&mut self.columns);
        columns.iter_mut().for_each(|(series, _)| *series = position_of[*series as usize]);
        columns.sort_unstable();
        for two in columns.windows(2) {
            let (first, second) = (two[0], two[1]);
            assert!(
                (first.0, first.1.group) != (second.0, second.1.group),
                "a series has two columns in group {}",
                first.1.group
            );
        }
        columns
    }
}

/// Names and pairs in their order.
#[derive(Debug, Default)]
struct Pairs {
    /// Symbol and first pair of each name.
    names: Vec<(u32, u32)>,
    /// Number of the name of each pair.
    name_of: Vec<u32>,
    /// Symbol of the value of each pair.
    values: Vec<u32>,
}

impl Pairs {
    fn push(&mut self, name: u32, value: u32) {
        if self.names.last().is_none_or(|(last, _)| *last != name) {
            self.names.push((name, self.values.len() as u32));
        }
        self.name_of.push(self.names.len() as u32 - 1);
        self.values.push(value);
    }

    fn value_within_name(&self, pair: u32) -> u32 {
        pair - self.names[self.name_of[pair as usize] as usize].1
    }
}

/// Lists of series, one behind the other in one allocation.
struct Lists {
    ends: Vec<usize>,
    series: Vec<u32>,
}

impl Lists {
    /// The positions in `order` at which a series has the number of a list.
    fn gather<I: Iterator<Item = u32>>(order: &[u32], list_count: usize, numbers_of: impl Fn(u32) -> I) -> Lists {
        let mut ends = vec![0; list_count];
        for series in order {
            numbers_of(*series).for_each(|list| ends[list as usize] += 1);
        }
        let mut total = 0;
        for end in &mut ends {
            // For now where the list starts; it moves to its end as the list is filled.
            total += std::mem::replace(end, total);
        }
        let mut series = vec![0; total];
        for (position, number) in (0u32..).zip(order) {
            for list in numbers_of(*number) {
                series[ends[list as usize]] = position;
                ends[list as usize] += 1;
            }
        }
        Lists { ends, series }
    }

    fn get(&self, list: usize) -> &[u32] {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.series[start..self.ends[list]]
    }
}

/// Sets of names that series have, numbered as they come.
#[derive(Default)]
struct Shapes {
    number_of: HashMap<Box<[u32]>, u32>,
    ends: Vec<u32>,
    names: Vec<u32>,
    /// The set looked for last: neighbours mostly have the same.
    wanted: Vec<u32>,
}

impl Shapes {
    fn number(&mut self, names: impl Iterator<Item = u32>) -> u32 {
        self.wanted.clear();
        self.wanted.extend(names);
        if let Some(number) = self.number_of.get(&*self.wanted) {
            return *number;
        }
        let number = self.ends.len() as u32;
        self.number_of.insert(self.wanted.as_slice().into(), number);
        self.names.extend_from_slice(&self.wanted);
        self.ends.push(u32::try_from(self.names.len()).expect("memory ends before 2^32 names in shapes"));
        number
    }
}
