//! Fuzzing of amanda-fw: what the two targets run, and the inputs that they begin with.

#[path = "../../src/answers.rs"]
pub mod answers;
#[path = "../../src/frames.rs"]
pub mod frames;
mod growth;
pub mod hex;
mod history;
pub mod packet_path;
pub mod parser;
mod reasons;
pub mod reference;
pub mod scenario;
pub mod seeds;
mod witness;
