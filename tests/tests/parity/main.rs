//! Parity: the kernel's programs and the packet path in memory do and remember the same.
//!
//! Frames are run through the loaded programs by BPF_PROG_TEST_RUN, which needs no traffic, and
//! which gives the programs of devices without a link header the frame as it is, too.

mod auths;
mod conversations;
mod headers;
mod limits;
mod mutations;
mod pair;
mod rejections;
mod rulesets;
mod talk;
mod vectors;
