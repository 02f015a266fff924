//! Dozor's bytes on disk.
