//! libFuzzer's way into the parser.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|datagram: &[u8]| amanda_fw_fuzz::parser::run(datagram));

#[cfg(not(fuzzing))]
fn main() {}
