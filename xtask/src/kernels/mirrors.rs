//! Finds the Debian archives that this machine uses, so that no host is named here.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Names of Debian's suites, without `-security` and the like.
const SUITES: [&str; 10] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The archives that this machine's apt uses.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mirrors {
    main: Option<String>,
    security: Option<String>,
}

impl Mirrors {
    pub(super) fn of_this_machine() -> Result<Self> {
        let mut apt = Command::new("apt-get");
        apt.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)"]);
        Ok(Self::parse(&process::stdout(&mut apt)?))
    }

    /// Reads lines of an archive's address and a suite.
    fn parse(targets: &str) -> Self {
        let mut mirrors = Self::default();
        for (address, suite) in targets.lines().filter_map(|line| line.trim().split_once(' ')) {
            let name = suite.split(['-', '/']).next().unwrap_or(suite);
            if !SUITES.contains(&name) {
                continue;
            }
            let mirror = if is_security(suite) { &mut mirrors.security } else { &mut mirrors.main };
            mirror.get_or_insert_with(|| address.to_owned());
        }
        mirrors
    }

    /// Returns the address of the archive that has `suite`.
    pub(super) fn of(&self, suite: &str) -> Result<&str> {
        let mirror = if is_security(suite) { &self.security } else { &self.main };
        mirror.as_deref().context("no such Debian archive is among this machine's apt sources")
    }
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_the_first_debian_archives_among_the_sources() {
        let targets = "http://other.example/node/ nodistro\nhttp://one.example/debian/ bookworm\n\
            http://two.example/debian/ bookworm-updates\nhttp://sec.example/debian/ bookworm-security\n";
        let expected = Mirrors {
            main: Some("http://one.example/debian/".to_owned()),
            security: Some("http://sec.example/debian/".to_owned()),
        };
        assert_eq!(Mirrors::parse(targets), expected);
    }

    #[test]
    fn a_machine_that_is_not_debian_has_no_mirror() {
        let mirrors = Mirrors::parse("http://one.example/ubuntu/ noble\n");
        assert_eq!(mirrors, Mirrors::default());
        assert!(mirrors.of("sid").is_err());
    }
}
