//! `cargo xtask setup`: Debian's packages for the BPF object, the demo and the tests.
//!
//! It installs nothing that a plain `cargo build` user would need besides a Rust toolchain: what
//! it adds serves the BPF object, which `cargo xtask build-ebpf` makes, and the tests.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self as std_process, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::toolchain::Toolchain;
use crate::{process, workspace};

/// The LLVM of the rustc that Debian's security archive has today.
const DEBIAN_LLVM: u32 = 22;

const COMPILER: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];

const TESTS: [&str; 16] = [
    "iproute2",
    "iptables",
    "nftables",
    "conntrack",
    "iputils-ping",
    "bpftool",
    "nmap",
    "util-linux",
    "amanda-client",
    "amanda-server",
    INETD,
    "libencode-locale-perl",
    "libjson-perl",
    "libxml-simple-perl",
    "openssh-client",
    SSHD,
];

/// Starts amandad for the tests, which run it in namespaces; as a service it would listen.
const INETD: &str = "openbsd-inetd";

/// Serves the tests of what attaching over ssh does, in namespaces too.
const SSHD: &str = "openssh-server";

/// The packages that bring a service which would listen from the next boot on, with its name.
const SERVICES: [(&str, &str); 2] = [(INETD, INETD), (SSHD, "ssh")];

/// What maintainer scripts ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_MARK: &str = "# written by `cargo xtask setup` of amanda-fw";

const TAIL_LINES: usize = 15;

/// The options of `cargo xtask setup`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Prints what is missing, changes nothing, and exits with 1 if anything is
    #[arg(long)]
    check: bool,
}

/// Installs what is missing, or with `--check` only names it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !args.check {
        return install_missing().map(|()| ExitCode::SUCCESS);
    }
    let missing = missing()?;
    if missing.is_empty() {
        println!("setup: nothing is missing");
        return Ok(ExitCode::SUCCESS);
    }
    println!("setup: missing: {}", missing.join(" "));
    Ok(ExitCode::FAILURE)
}

/// Announces and installs the packages that are missing.
pub(crate) fn install_missing() -> Result<()> {
    let missing = missing()?;
    if missing.is_empty() {
        println!("setup: nothing is missing");
        return Ok(());
    }
    if !process::is_root() {
        bail!("installing packages takes root: run as root, or install: {}", missing.join(" "));
    }
    announce(&missing);
    install(&missing)
}

fn announce(missing: &[String]) {
    println!("setup: will install with apt-get: {}", missing.join(" "));
    println!("setup: starts no service, and changes nothing else");
    for service in services(missing) {
        println!("setup: {service} stays disabled until you run: update-rc.d {service} enable");
    }
}

/// Names the services that packages bring.
fn services(packages: &[String]) -> impl Iterator<Item = &'static str> {
    let brought = SERVICES.iter().filter(|(package, _)| packages.iter().any(|p| p == package));
    brought.map(|&(_, service)| service)
}

/// Names the wanted packages that are not installed.
fn missing() -> Result<Vec<String>> {
    let wanted = wanted()?;
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "setup knows Debian's apt-get only, which this system lacks; install what these \
             Debian packages hold by this system's own means: {}",
            wanted.join(" ")
        );
    }
    let installed = installed(&wanted)?;
    Ok(wanted.into_iter().filter(|package| !installed.contains(package)).collect())
}

fn wanted() -> Result<Vec<String>> {
    let mut wanted = for_building()?;
    wanted.extend(TESTS.map(String::from));
    Ok(wanted)
}

/// Lists Debian's compiler, and the LLVM that it writes bitcode for, unless rustup has a nightly.
fn for_building() -> Result<Vec<String>> {
    let major = match Toolchain::find() {
        Ok(Toolchain::RustupNightly) => return Ok(Vec::new()),
        Ok(debian @ Toolchain::Debian) => debian.llvm_major()?,
        Err(_) => DEBIAN_LLVM,
    };
    let mut packages = Vec::from(COMPILER.map(String::from));
    packages.push(format!("llvm-{major}-dev"));
    Ok(packages)
}

/// Asks dpkg which of `packages` are installed, in one call.
fn installed(packages: &[String]) -> Result<HashSet<String>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"]).args(packages);
    // It exits with 1 for a package that it never heard of, and still lists the others.
    let output = query.stderr(Stdio::null()).output().context("ask dpkg-query")?;
    Ok(parse_installed(&String::from_utf8_lossy(&output.stdout)))
}

/// Picks the names out of lines `nftables installed`; other states are `config-files` and so on.
fn parse_installed(listing: &str) -> HashSet<String> {
    let names = listing.lines().filter_map(|line| line.strip_suffix(" installed"));
    names.map(String::from).collect()
}

fn install(packages: &[String]) -> Result<()> {
    let log = workspace::target().join("setup.log");
    fs::create_dir_all(workspace::target()).context("make the folder target")?;
    let output = File::create(&log).with_context(|| format!("write {}", log.display()))?;
    let _policy = NoServiceStarts::impose()?;
    apt_get(&["update"], &output, &log)?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages.iter().map(String::as_str));
    apt_get(&install, &output, &log)?;
    for service in services(packages) {
        disable(service, &output)?;
    }
    println!("setup: done; the log is {}", log.display());
    Ok(())
}

fn apt_get(args: &[&str], output: &File, log: &Path) -> Result<()> {
    println!("setup: apt-get {}", args.first().copied().unwrap_or_default());
    let mut apt_get = Command::new("apt-get");
    apt_get.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    process::run(into_log(&mut apt_get, output)?)
        .with_context(|| format!("{}the whole log is {}; the cause", tail(log), log.display()))
}

/// Keeps a freshly installed service from starting at the next boot: inetd would with what Amanda's
/// packages enter in its table.
fn disable(service: &str, output: &File) -> Result<()> {
    let mut update = Command::new("update-rc.d");
    process::run(into_log(update.args([service, "disable"]), output)?)
        .with_context(|| format!("disable the service {service}"))
}

fn into_log<'a>(command: &'a mut Command, output: &File) -> Result<&'a mut Command> {
    let stdout = output.try_clone().context("share the log")?;
    let stderr = output.try_clone().context("share the log")?;
    // The outer cargo's library path is not for apt's scripts.
    command.env_remove("LD_LIBRARY_PATH");
    Ok(command.stdin(Stdio::null()).stdout(stdout).stderr(stderr))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(start).map(|line| format!("{line}\n")).collect()
}

/// While it lives, packages that are installed start no service.
struct NoServiceStarts(Option<PathBuf>);

impl NoServiceStarts {
    /// Writes the policy, unless the machine has one of its own, which is then left to decide.
    fn impose() -> Result<Self> {
        if fs::read_to_string(POLICY).is_ok_and(|policy| !policy.contains(POLICY_MARK)) {
            return Ok(Self(None));
        }
        let guard = Self(Some(PathBuf::from(POLICY)));
        fs::write(POLICY, policy(std_process::id())).with_context(|| format!("write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {POLICY} executable"))?;
        Ok(guard)
    }
}

impl Drop for NoServiceStarts {
    fn drop(&mut self) {
        if let Some(policy) = &self.0 {
            // Where this fails, the policy takes itself away when it is next asked.
            let _ = fs::remove_file(policy);
        }
    }
}

/// Writes a policy that forbids (101) as long as the process `setup` lives, and then removes itself.
fn policy(setup: u32) -> String {
    format!(
        "#!/bin/sh\n{POLICY_MARK}\n\
         kill -0 {setup} 2>/dev/null && exit 101\nrm -f {POLICY}\nexit 0\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_package_is_there() {
        check("nftables installed\nllvm-22-dev installed\n", &["nftables", "llvm-22-dev"]);
    }

    #[test]
    fn a_package_of_two_architectures_is_there_once() {
        check("libc6 installed\nlibc6 installed\n", &["libc6"]);
    }

    #[test]
    fn a_removed_or_half_installed_package_is_missing() {
        check("nmap config-files\nnftables not-installed\niperf3 half-installed\n", &[]);
    }

    #[test]
    fn no_package_is_there_when_dpkg_lists_none() {
        check("", &[]);
    }

    #[test]
    fn a_service_is_known_by_its_package() {
        let packages = ["nftables", "openssh-server"].map(String::from);
        assert_eq!(services(&packages).collect::<Vec<_>>(), ["ssh"]);
    }

    #[track_caller]
    fn check(listing: &str, expected: &[&str]) {
        assert_eq!(parse_installed(listing), expected.iter().map(ToString::to_string).collect());
    }
}
