//! The `dozor` command.
fn main() {}
