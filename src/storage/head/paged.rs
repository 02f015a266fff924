//! A vector that grows by pages: nothing moves when it grows, and at most one page of it is room.
//!
//! Of a vector that doubles, up to half is room; with a million series that would be sixty megabytes.

/// Items of one page.
const PAGE: usize = 1024;

/// A list that only grows.
pub(super) struct Paged<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Paged<T> {
        Paged { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(super) fn push(&mut self, item: T) {
        if self.len() == self.pages.len() * PAGE {
            // The first page grows as it must: a small head stays small.
            self.pages.push(if self.pages.is_empty() { Vec::new() } else { Vec::with_capacity(PAGE) });
        }
        self.pages.last_mut().expect("pushed above").push(item);
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }
}
