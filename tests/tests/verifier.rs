//! The verifier's view: every program of the object loads, and takes far less than it may.

#![expect(clippy::print_stdout, reason = "the instruction counts are worth reading")]

use amanda_fw_tests::kernel::{self, Hook};
use aya::util::KernelVersion;

/// The most instructions that verifying a program may take, of a million that the kernel allows
/// (Linux 5.2). The largest one takes 210,000 on 6.18; other kernels prune less.
const MAX_INSTRUCTIONS: u32 = 400_000;

/// The first kernel that tells how many instructions the verifier has walked.
const INSTRUCTION_COUNT: KernelVersion = KernelVersion::new(5, 16, 0);

#[test]
#[ignore = "needs root: BPF"]
fn xdp_ingress_is_verified() {
    check(Hook::Xdp);
}

#[test]
#[ignore = "needs root: BPF"]
fn xdp_ingress_frags_is_verified() {
    check(Hook::XdpFrags);
}

#[test]
#[ignore = "needs root: BPF"]
fn tc_ingress_is_verified() {
    check(Hook::TcIngress);
}

#[test]
#[ignore = "needs root: BPF"]
fn tc_egress_is_verified() {
    check(Hook::TcEgress);
}

#[test]
#[ignore = "needs root: BPF"]
fn tc_ingress_raw_is_verified() {
    check(Hook::TcIngressRaw);
}

#[test]
#[ignore = "needs root: BPF"]
fn tc_egress_raw_is_verified() {
    check(Hook::TcEgressRaw);
}

#[test]
#[ignore = "needs root: BPF"]
fn every_program_of_the_object_is_named_here() {
    let ebpf = kernel::open(&[]).expect("the object can be opened");
    let mut names: Vec<&str> = ebpf.programs().map(|(name, _)| name).collect();
    names.sort_unstable();
    let mut expected = Hook::ALL.map(Hook::program);
    expected.sort_unstable();
    assert_eq!(names, expected);
}

fn check(hook: Hook) {
    let name = hook.program();
    if !hook.is_there() {
        return println!("{name}: skipped: this kernel has no such hook");
    }
    let mut ebpf = kernel::open(&[]).expect("the object can be opened");
    let program = kernel::load(&mut ebpf, name).unwrap_or_else(|error| panic!("{error:?}"));
    let info = program.info().expect("the kernel knows its programs");
    let Some(count) = info.verified_instruction_count() else {
        let version = KernelVersion::current().expect("the kernel has a version");
        assert!(version < INSTRUCTION_COUNT, "the kernel tells no instruction count");
        return;
    };
    println!("{name}: {count} instructions verified, of {MAX_INSTRUCTIONS} that it may take");
    assert!(count <= MAX_INSTRUCTIONS, "{name}: {count} instructions verified");
}
