//! Processes of the bench: started in the background, captured, and gone when their guard is.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{Seek, Write},
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{bench::unique_name, wait};

/// Lines of each output that a failure shows.
const EXCERPT_LINES: usize = 40;

/// Returns a command line to complete, whose program gets `signal` (`KILL`, `INT`) when this thread
/// dies, so that a crash of the bench leaves nothing running.
#[must_use]
pub fn dying_with_us(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]);
    command
}

/// Runs `command` to its end, or kills it after `timeout`.
pub fn run(command: &mut Command, timeout: Duration) -> Result<Finished> {
    Child::spawn(command)?.finish(timeout)
}

/// Runs `command` like [`run`], with `input` on its standard input.
pub fn run_fed(command: &mut Command, input: &str, timeout: Duration) -> Result<Finished> {
    Child::spawn_fed(command, input)?.finish(timeout)
}

/// A background process, killed with its process group when dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    command_line: String,
    started: Instant,
    stdout: Capture,
    stderr: Capture,
}

impl Child {
    /// Starts `command` with both outputs captured and nothing on its standard input.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Self::spawn_reading(command, Stdio::null())
    }

    /// Starts `command` with both outputs captured and `input` on its standard input.
    pub fn spawn_fed(command: &mut Command, input: &str) -> Result<Self> {
        let mut file = unlinked_file()?;
        file.write_all(input.as_bytes()).context("write a process's input")?;
        file.rewind().context("rewind a process's input")?;
        Self::spawn_reading(command, file.into())
    }

    /// Starts `command` with both outputs captured and its standard input in the caller's hands.
    pub fn spawn_talking(command: &mut Command) -> Result<Self> {
        Self::spawn_reading(command, Stdio::piped())
    }

    /// Writes a line to the standard input of a process that [`Child::spawn_talking`] has started.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input =
            self.process.stdin.as_mut().context("talk to a process that does not listen")?;
        writeln!(input, "{line}").with_context(|| format!("talk to {}", self.command_line))
    }

    fn spawn_reading(command: &mut Command, input: Stdio) -> Result<Self> {
        let command_line = command_line(command);
        let (stdout, stderr) = (Capture::new()?, Capture::new()?);
        let process = command
            .stdin(input)
            .stdout(stdout.writer()?)
            .stderr(stderr.writer()?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {command_line}"))?;
        Ok(Self { process, command_line, started: Instant::now(), stdout, stderr })
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns what it has written to standard output.
    #[must_use]
    pub fn stdout(&self) -> &Capture {
        &self.stdout
    }

    /// Returns what it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> &Capture {
        &self.stderr
    }

    /// Returns how it ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait().with_context(|| format!("wait for {}", self.command_line))
    }

    /// Waits for its end, and kills it after `timeout`.
    pub fn finish(mut self, timeout: Duration) -> Result<Finished> {
        let status = wait::within(timeout, || self.ended())?;
        self.into_finished(status)
    }

    /// Interrupts it as Ctrl-C does, waits for its end, and kills it after `timeout`.
    pub fn interrupt(mut self, timeout: Duration) -> Result<Finished> {
        self.signal(Signal::INT)?;
        let status = wait::unstoppably(timeout, || self.ended())?;
        self.into_finished(status)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(pid(&self.process), signal)
            .with_context(|| format!("signal {}", self.command_line))
    }

    fn into_finished(mut self, status: Option<ExitStatus>) -> Result<Finished> {
        if status.is_none() {
            self.kill();
        }
        Ok(Finished {
            command_line: self.command_line.clone(),
            status,
            took: self.started.elapsed(),
            stdout: self.stdout.text()?,
            stderr: self.stderr.text()?,
        })
    }

    fn kill(&mut self) {
        // Neither can fail in a way that leaves something to do: the process is gone then.
        let _ = kill_process_group(pid(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Finished {
    command_line: String,
    status: Option<ExitStatus>,
    /// From start to end.
    pub took: Duration,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Finished {
    /// Tells whether it ended by itself, in time, with status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Returns itself after success, else an error with the end of both outputs.
    pub fn require_success(self) -> Result<Self> {
        ensure!(self.is_success(), "{self}");
        Ok(self)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => writeln!(formatter, "{}: {status}", self.command_line)?,
            None => writeln!(formatter, "{}: killed after {:?}", self.command_line, self.took)?,
        }
        writeln!(formatter, "--- stdout\n{}", last_lines(&self.stdout, EXCERPT_LINES))?;
        write!(formatter, "--- stderr\n{}", last_lines(&self.stderr, EXCERPT_LINES))
    }
}

/// One output of a process, readable while it grows.
#[derive(Debug)]
pub struct Capture(File);

impl Capture {
    fn new() -> Result<Self> {
        unlinked_file().map(Self)
    }

    fn writer(&self) -> Result<Stdio> {
        Ok(self.0.try_clone().context("share a capture file")?.into())
    }

    /// Returns everything captured so far.
    pub fn text(&self) -> Result<String> {
        self.text_from(0)
    }

    /// Returns the whole lines behind byte `*offset`, and moves the offset behind them.
    pub fn lines_from(&self, offset: &mut u64) -> Result<Vec<String>> {
        let text = self.text_from(*offset)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        *offset += whole.len() as u64;
        Ok(whole.lines().map(str::to_owned).collect())
    }

    fn text_from(&self, mut offset: u64) -> Result<String> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            // Not `read`: the position in the file is the writer's.
            let length = self.0.read_at(&mut chunk, offset).context("read a capture file")?;
            if length == 0 {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            bytes.extend_from_slice(&chunk[..length]);
            offset += length as u64;
        }
    }
}

/// Returns the last `count` lines of `text`.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn unlinked_file() -> Result<File> {
    let path = std::env::temp_dir().join(unique_name("capture"));
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("create {}", path.display()))?;
    fs::remove_file(&path).with_context(|| format!("unlink {}", path.display()))?;
    Ok(file)
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn pid(process: &std::process::Child) -> Pid {
    Pid::from_child(process)
}
