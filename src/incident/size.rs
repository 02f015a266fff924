//! About how many bytes an incident takes, counted as it grows: those that have many signals change often.

use super::record::{Delivery, Figures, Incident, Note, Signal};

const ITEM_BYTES: usize = 100;
const POINT_BYTES: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Of everything.
    pub(super) bytes: usize,
    /// Of the texts of its signals.
    pub(super) signal_text_bytes: usize,
}

impl Size {
    pub(super) fn of(incident: &Incident) -> Size {
        let mut size = Size { bytes: ITEM_BYTES, signal_text_bytes: 0 };
        incident.signals.iter().for_each(|signal| size.add_signal(signal));
        incident.notes.iter().for_each(|note| size.add_note(note));
        incident.deliveries.iter().for_each(|delivery| size.add_delivery(delivery));
        size
    }

    pub(super) fn add_signal(&mut self, signal: &Signal) {
        let text_bytes = text_bytes(signal);
        self.signal_text_bytes += text_bytes;
        self.bytes += ITEM_BYTES + text_bytes + figures_bytes(signal.figures.as_ref());
    }

    pub(super) fn replace_figures(&mut self, before: Option<&Figures>, after: &Figures) {
        self.bytes = self.bytes - figures_bytes(before) + figures_bytes(Some(after));
    }

    pub(super) fn add_note(&mut self, note: &Note) {
        self.bytes += ITEM_BYTES + note.by.len() + note.text.len();
    }

    pub(super) fn add_delivery(&mut self, delivery: &Delivery) {
        self.bytes += ITEM_BYTES + delivery.id.len() + delivery.reason.len();
    }
}

/// Of the texts of a signal.
pub(super) fn text_bytes(signal: &Signal) -> usize {
    let silenced_by = signal.silenced_by.as_ref();
    let said_bytes = silenced_by.map_or(0, |one| one.id.len() + one.created_by.len() + one.comment.len());
    signal.alert.text_bytes() + said_bytes
}

fn figures_bytes(figures: Option<&Figures>) -> usize {
    POINT_BYTES * figures.map_or(0, |figures| figures.chart.len())
}
