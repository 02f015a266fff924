//! The file inspector.
fn main() {}
