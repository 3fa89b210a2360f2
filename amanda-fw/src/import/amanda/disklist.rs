//! disklist: which hosts are backed up, and by which dumptype.

use super::conf::{Conf, Dumptype, depth_after, option};
use super::files::Files;
use super::lexer::{Line, Token};
use crate::import::report::{Place, Report};

/// One disk of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) place: Place,
    pub(super) host: String,
    pub(super) dumptype: Dumptype,
    pub(super) interface: Option<String>,
}

/// Reads a disklist and the files that it includes.
pub(super) fn read(
    name: &str,
    conf: &Conf,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<Disk> {
    let mut disks = Vec::new();
    let mut open: Option<(Disk, usize)> = None;
    for (place, line) in files.lines(name) {
        let include = line.tokens.first().and_then(Token::keyword);
        match open.take() {
            Some((disk, depth)) => match inside(disk, depth, &place, &line, conf, report) {
                Inline::Open(disk, depth) => open = Some((disk, depth)),
                Inline::Closed(disk) => disks.push(disk),
            },
            None if include.as_deref() == Some("includefile") => {
                let path = line.tokens.get(1).and_then(Token::word).unwrap_or_default();
                match files.include(path) {
                    Ok(name) => disks.extend(read(&name, conf, files, report)),
                    Err(why) => report.lose(&place, why),
                }
            }
            None => match entry(&place, &line, conf) {
                Ok(disk) if line.tokens.contains(&Token::Open) => {
                    open = Some((disk, depth_after(0, &line)));
                }
                Ok(disk) => disks.push(disk),
                Err(why) => report.lose(&place, why),
            },
        }
    }
    disks
}

/// A dumptype within a disklist.
enum Inline {
    Open(Disk, usize),
    Closed(Disk),
}

fn inside(
    mut disk: Disk,
    depth: usize,
    place: &Place,
    line: &Line,
    conf: &Conf,
    report: &mut Report,
) -> Inline {
    let after = depth_after(depth, line);
    if after == 0 {
        let behind = line.tokens.iter().skip_while(|token| **token != Token::Close).skip(1);
        disk.interface = interface(&behind.collect::<Vec<_>>());
        return Inline::Closed(disk);
    }
    if depth == 1 {
        option(&mut disk.dumptype, conf, place, line, report);
    }
    Inline::Open(disk, after)
}

/// Reads `hostname diskname [diskdevice] dumptype [spindle [interface]]`, or the beginning of one
/// with a dumptype of its own.
fn entry(place: &Place, line: &Line, conf: &Conf) -> Result<Disk, String> {
    let [Token::Word(host, _), Token::Word(..), rest @ ..] = line.tokens.as_slice() else {
        return Err("a disk is a host, a name and a dumptype".to_owned());
    };
    let found = |token: Option<&Token>| {
        conf.dumptypes.get(&token.and_then(Token::word)?.to_lowercase()).cloned()
    };
    let (dumptype, behind) = match (found(rest.first()), found(rest.get(1))) {
        _ if line.tokens.contains(&Token::Open) => (Dumptype::default(), &[][..]),
        (Some(dumptype), _) => (dumptype, rest.get(1..).unwrap_or_default()),
        (None, Some(dumptype)) => (dumptype, rest.get(2..).unwrap_or_default()),
        (None, None) => return Err(missing(rest)),
    };
    let interface = interface(&behind.iter().collect::<Vec<_>>());
    Ok(Disk { place: place.clone(), host: host.to_lowercase(), dumptype, interface })
}

fn missing(rest: &[Token]) -> String {
    let words: Vec<&str> = rest.iter().take(2).filter_map(Token::word).collect();
    format!("amanda.conf defines no dumptype {}", words.join(" or "))
}

/// Reads what stands behind a dumptype: `[spindle [interface]]`.
fn interface(behind: &[&Token]) -> Option<String> {
    behind.get(1).and_then(|token| token.word()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "
define interface le0 {
    use 10 mbps
    src-ip \"10.0.0.9\"
}
define dumptype global {
    auth \"bsdtcp\"
}
define dumptype old {
    global
    auth \"bsd\"
    client_port \"10180\"
}
define dumptype \"Older\" { # a comment
    old
    application {
        auth \"not this one\"
    }
}
define dumptype back {
    older
    global
}
";

    fn check(disklist: &str, expected: &[&str]) {
        let text = |path: &str| match path {
            "/c/amanda.conf" => Some(CONF.to_owned()),
            "/c/disklist" => Some(disklist.to_owned()),
            _ => None,
        };
        let (mut files, mut report) = (Files::new("/c", &text), Report::default());
        let mut conf = Conf::default();
        conf.read("/c/amanda.conf", &mut files, &mut report);
        let disks = read("/c/disklist", &conf, &mut files, &mut report);
        let mut found: Vec<String> = disks.iter().map(show).collect();
        found.extend(report.lost().map(|(place, why)| format!("{}: {why}", place.line)));
        assert_eq!(found, expected);
    }

    fn show(disk: &Disk) -> String {
        let word = |said: &Option<(String, Place)>| {
            said.as_ref().map_or("-".to_owned(), |(word, _)| word.clone())
        };
        let Dumptype { auth, client_port } = &disk.dumptype;
        let interface = disk.interface.as_deref().unwrap_or("-");
        format!("{} {} {} {interface}", disk.host, word(auth), word(client_port))
    }

    #[test]
    fn a_disk_has_the_dumptype_that_it_names_with_what_that_inherits() {
        check("a / global", &["a bsdtcp - -"]);
        check("A /x /dev/x OLDER 1 le0", &["a bsd 10180 le0"]);
        check("a / \"Older\" -1", &["a bsd 10180 -"]);
        check("a / back", &["a bsdtcp 10180 -"]);
    }

    #[test]
    fn a_dumptype_may_stand_in_the_disklist() {
        check("a / {\n global\n auth \"ssh\"\n} 2 le0\nb / old", &["a ssh - le0", "b bsd 10180 -"]);
        check("a /x /dev/x { # y\n compress none\n}", &["a - - -"]);
        check("a / {\n old\n application {\n auth \"x\"\n }\n}", &["a bsd 10180 -"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        check("a / nothing", &["1: amanda.conf defines no dumptype nothing"]);
        check("a", &["1: a disk is a host, a name and a dumptype"]);
        let missing = "1: /c/more cannot be read, and what it says is missing here";
        check("includefile \"more\"\na / global", &["a bsdtcp - -", missing]);
    }
}
