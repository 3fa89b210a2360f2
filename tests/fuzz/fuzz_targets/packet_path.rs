//! libFuzzer's way into the packet path.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| amanda_fw_fuzz::packet_path::run(input));

#[cfg(not(fuzzing))]
fn main() {}
