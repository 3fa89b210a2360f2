//! amanda-fw.
fn main() {}
