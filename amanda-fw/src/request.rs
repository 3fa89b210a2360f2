//! What a request is about: which host, which disk, which level.
//!
//! The programs read no more of a request than its service; its first fragment travels with the
//! event, and is read here (common-src/xml and the line format before Amanda 2.5.1).

/// Tells what the payload of a REQ is about, as far as its first fragment says it.
pub(crate) fn about(payload: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(payload);
    let (options, disks) = text.split_once("\nOPTIONS ")?.1.split_once('\n')?;
    let host = options.split(';').find_map(|option| option.strip_prefix("hostname="));
    let disk = if disks.contains("<dle>") { xml(disks) } else { lines(disks) };
    let about = match (host, disk) {
        (Some(host), Some(disk)) => format!("{host}:{disk}"),
        (Some(text), None) => text.to_owned(),
        (None, disk) => disk?,
    };
    Some(about.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

/// Reads `<disk>` and `<level>` of the only disk, or counts several.
fn xml(disks: &str) -> Option<String> {
    let mut named = disks.split("<disk>").skip(1).filter_map(|rest| rest.split_once("</disk>"));
    let (name, rest) = named.next()?;
    let others = disks.matches("<dle>").count().saturating_sub(1);
    let level = rest.split_once("<level>").and_then(|(_, rest)| rest.split('<').next());
    Some(describe(name, level, others))
}

/// Reads `PROGRAM DISK [DEVICE] LEVEL ...` of the only disk, or counts several.
fn lines(disks: &str) -> Option<String> {
    let mut lines = disks.lines().filter(|line| !line.trim().is_empty());
    let mut words = lines.next()?.split_whitespace().skip(1);
    let name = words.next()?;
    let level = words.find(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    Some(describe(name, level, lines.count()))
}

fn describe(name: &str, level: Option<&str>, others: usize) -> String {
    match (others, level) {
        (0, Some(level)) => format!("{name} level {level}"),
        (0, None) => name.to_owned(),
        (others, _) => format!("{name} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<&str>) {
        let head = "Amanda 3.5 REQ HANDLE 000-00000000 SEQ 1\nSECURITY USER backup\nSERVICE x\n";
        assert_eq!(about(format!("{head}{body}").as_bytes()).as_deref(), expected, "{body}");
    }

    #[test]
    fn a_backup_names_its_disk_and_level() {
        check(
            "OPTIONS features=ff;maxdumps=4;hostname=lhost.lab;config=daily;\n<dle>\n  \
             <program>GNUTAR</program>\n  <disk>/srv/b</disk>\n  <level>1</level>\n</dle>\n",
            Some("lhost.lab:/srv/b level 1"),
        );
    }

    #[test]
    fn several_disks_are_counted() {
        check(
            "OPTIONS hostname=lhost;\n<dle>\n  <disk>/a</disk>\n  <level>0</level>\n</dle>\n\
             <dle>\n  <disk>/b</disk>\n  <level>0</level>\n</dle>\n<dle>\n  <dis",
            Some("lhost:/a and 2 more"),
        );
    }

    #[test]
    fn an_old_request_names_its_disk_in_a_line() {
        check(
            "OPTIONS hostname=lhost;\nGNUTAR /home  2 2002:8:1:0:0:0 OPTIONS |;bsd-auth;index;\n",
            Some("lhost:/home level 2"),
        );
    }

    #[test]
    fn a_request_without_disks_names_its_host() {
        check("OPTIONS features=ff;hostname=lhost;\n\n", Some("lhost"));
    }

    #[test]
    fn a_recovery_says_nothing() {
        check("OPTIONS features=ff;auth=bsd;\n\n", None);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        check("OPTIONS hostname=l\u{1b}[2Jhost;\n\n", Some("l?[2Jhost"));
    }
}
