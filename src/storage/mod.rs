//! The database: log, head, blocks, and the views that queries read.

pub mod tap;
pub mod view;
