//! Every configuration and every command of the manual, given to the real program.

use std::fs;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use amanda_fw_tests::bench::Bench;
use amanda_fw_tests::firewall::loader::Loader;
use amanda_fw_tests::lan::Lan;
use amanda_fw_tests::netns::Namespace;
use amanda_fw_tests::process::{self, Child, Finished};
use amanda_fw_tests::{amanda, wait};

use crate::outputs::LIVE;
use crate::page::{Block, Command, PAGES, blocks, commands};

/// The longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command line where /etc has the bench's files alone.
const SHELL: &str = "mount --bind etc /etc && PATH=\"$1:$PATH\" && eval \"$2\"";

#[test]
#[ignore = "needs root: network namespaces"]
fn every_configuration_of_the_manual_is_right() {
    let ground = Ground::new();
    let sandbox = ground.sandbox();
    for (page, text) in PAGES {
        for Block { language, text, .. } in blocks(text) {
            if language == "toml" {
                let file = ground.bench.path("block.toml");
                fs::write(&file, text).expect("a file can be written");
                let checked = sandbox.run(&format!("amanda-fw check {}", file.display()));
                assert!(checked.is_success(), "{page}: {text}\n{checked}");
            }
        }
    }
}

/// A page's commands run one after the other, on a host of its own.
#[test]
#[ignore = "needs root: network namespaces and BPF"]
fn every_command_of_the_manual_runs() {
    for (page, text) in PAGES {
        let ground = Ground::new();
        ground.write(&blocks(text));
        let sandbox = ground.sandbox();
        let mut loader = None;
        for command in commands(text) {
            match command.subcommand() {
                Some("attach") => {
                    drop(loader.take());
                    loader = Some(sandbox.attach(command.line));
                }
                Some(subcommand) => {
                    let finished = sandbox.run(command.line);
                    assert!(finished.is_success(), "{page}: {}: {finished}", command.line);
                    if !LIVE.contains(&subcommand) {
                        check_output(page, &command, &finished);
                    }
                }
                None => {}
            }
        }
    }
}

/// Checks that a command prints what the manual shows, in that order, and nothing else where no line
/// is left out; nothing is to be compared where the manual shows nothing.
#[track_caller]
fn check_output(page: &str, command: &Command<'_>, finished: &Finished) {
    let printed = format!("{}{}", finished.stdout, finished.stderr);
    let mut lines = printed.lines();
    let is_printed = command.output.iter().all(|shown| lines.any(|line| line == *shown));
    let is_all = !command.is_whole || printed.lines().count() == command.output.len();
    assert!(
        command.output.is_empty() || (is_printed && is_all),
        "{page}: {}: it prints\n{printed}",
        command.line
    );
}

/// A host that has files of its own.
struct Ground {
    bench: Bench,
    host: Namespace,
    _lan: Lan,
}

impl Ground {
    fn new() -> Self {
        let bench = Bench::new().expect("a bench can be made");
        let mut lan = Lan::new().expect("a bridge can be made");
        let address = format!("{}/24", amanda::CLIENT);
        let host = lan.plug_in("sandbox", &[&address]).expect("a host can be plugged in");
        fs::create_dir_all(bench.path("etc/amanda-fw")).expect("a folder can be made");
        Self { bench, host, _lan: lan }
    }

    /// Writes the files that a page shows.
    fn write(&self, blocks: &[Block<'_>]) {
        for Block { file, text, .. } in blocks.iter().filter(|block| !block.file.is_empty()) {
            let path = self.bench.path(file.trim_start_matches('/'));
            let folder = path.parent().expect("the folder of a file");
            fs::create_dir_all(folder).expect("a folder can be made");
            fs::write(&path, text).expect("a file can be written");
        }
    }

    fn sandbox(&self) -> Sandbox<'_> {
        let loader = Loader::new(&self.bench, &self.host, "").expect("amanda-fw can be found");
        Sandbox { ground: self, loader }
    }
}

/// A shell on a host, and where its firewall lives.
struct Sandbox<'a> {
    ground: &'a Ground,
    loader: Loader<'a>,
}

impl Sandbox<'_> {
    fn run(&self, line: &str) -> Finished {
        process::run(&mut self.shell(line), PATIENCE).expect("a command can be run")
    }

    /// Starts a loader, and waits until it enforces.
    #[track_caller]
    fn attach(&self, line: &str) -> Child {
        let mut child = Child::spawn(&mut self.shell(&format!("exec {line}"))).expect("a process");
        let said = wait::until("amanda-fw to attach", PATIENCE, || {
            let said = child.stdout().text()?;
            let has_ended = child.ended()?.is_some();
            Ok((has_ended || said.starts_with("attached")).then_some(said))
        });
        let said = said.expect("amanda-fw attaches");
        assert!(said.starts_with("attached"), "{line}: {said}{:?}", child.stderr().text());
        child
    }

    fn shell(&self, line: &str) -> Process {
        let folder = self.loader.program().parent().unwrap_or(Path::new("/"));
        let mut command = self.ground.host.enter_net_only("unshare");
        command.args(["--mount", "sh", "-c", SHELL, "sh"]).arg(folder).arg(line);
        command.env("AMANDA_FW_BPFFS", self.loader.pins());
        command.current_dir(self.ground.bench.path(""));
        command
    }
}
