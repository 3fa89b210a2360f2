//! Reads the counts of tests out of what `cargo test` prints.

use std::iter::Sum;
use std::ops::Add;

/// How many tests passed, failed and did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Counts {
    /// Adds up the `test result:` lines of `output`.
    ///
    /// Tests that are ignored count as skipped, save in the test files named in `elsewhere`, whose
    /// ignored tests are counted where they run.
    pub(crate) fn parse(output: &str, elsewhere: &[&str]) -> Self {
        let mut counts = Self::default();
        let mut is_elsewhere = false;
        for line in output.lines() {
            if let Some(file) = running(line) {
                is_elsewhere = elsewhere.contains(&file);
            } else if let Some(mut result) = result(line) {
                result.skipped *= u32::from(!is_elsewhere);
                counts = counts + result;
            }
        }
        counts
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Counts the lines `name: test` that `--list` prints.
pub(crate) fn count_listed(output: &str) -> u32 {
    output.lines().map(|line| u32::from(line.ends_with(": test"))).sum()
}

/// Names the test file of a line `Running tests/netns.rs (target/..)`, or nothing for other code.
fn running(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with("Doc-tests ") {
        return Some("");
    }
    let path = line.strip_prefix("Running ")?.split(" (").next()?;
    let path = path.strip_prefix("tests/").unwrap_or_default();
    Some(path.strip_suffix("/main.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or_default())
}

/// Reads `test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ..`.
fn result(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let number = counts.split("; ").find_map(|part| part.strip_suffix(what))?;
        number.trim().parse().ok()
    };
    Some(Counts { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_BINARIES: &str = "\
     Running unittests src/lib.rs (target/debug/deps/amanda_fw_common-2d0)

running 3 tests
test flow::tests::a ... ok
test flow::tests::b ... ok
test flow::tests::c ... ignored

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/netns.rs (target/debug/deps/netns-5f1)

test result: FAILED. 10 passed; 1 failed; 4 ignored; 0 measured; 7 filtered out; finished in 2.31s

   Doc-tests amanda_fw_common

test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.20s
";

    #[test]
    fn the_results_of_all_binaries_add_up() {
        check(TWO_BINARIES, &[], (13, 1, 7));
    }

    #[test]
    fn tests_that_run_elsewhere_are_not_skipped() {
        check(TWO_BINARIES, &["netns"], (13, 1, 3));
    }

    #[test]
    fn a_test_file_may_be_a_folder() {
        let output = TWO_BINARIES.replace("tests/netns.rs", "tests/netns/main.rs");
        check(&output, &["netns"], (13, 1, 3));
    }

    #[test]
    fn output_that_only_looks_like_a_result_is_no_result() {
        check("test result: unknown\ntest result: ok. many passed; 0 failed\n", &[], (0, 0, 0));
    }

    #[test]
    fn listed_tests_are_counted_without_benchmarks() {
        assert_eq!(count_listed("a::b: test\nc: test\nd: benchmark\n\n2 tests, 1 benchmark\n"), 2);
    }

    #[track_caller]
    fn check(output: &str, elsewhere: &[&str], (passed, failed, skipped): (u32, u32, u32)) {
        assert_eq!(Counts::parse(output, elsewhere), Counts { passed, failed, skipped });
    }
}
