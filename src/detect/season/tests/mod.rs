//! What a season promises, bucket by bucket.

mod beat;
mod behaviour;
mod clock;
mod golden;
mod golden_figures;
mod habit;
mod parts;
mod series;
