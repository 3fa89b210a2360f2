//! amanda.conf: ports and dumptypes, with what they include and inherit.

use std::collections::BTreeMap;

use super::files::Files;
use super::lexer::{Line, Token};
use crate::import::report::{Place, Report};

/// A range of ports.
pub(super) type Range = (u16, u16);

/// What a dumptype says about the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dumptype {
    /// How the server proves itself, and the line that says so.
    pub(super) auth: Option<(String, Place)>,
    /// Where clients listen.
    pub(super) client_port: Option<(String, Place)>,
}

impl Dumptype {
    /// Takes what another one says over what this one says.
    fn inherit(&mut self, parent: &Self) {
        let Self { auth, client_port } = parent.clone();
        self.auth = auth.or_else(|| self.auth.take());
        self.client_port = client_port.or_else(|| self.client_port.take());
    }
}

/// What amanda.conf says about the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conf {
    /// By name, in small letters.
    pub(super) dumptypes: BTreeMap<String, Dumptype>,
    /// Interfaces with an address of their own: which one the server's requests come from.
    pub(super) interfaces: BTreeMap<String, Option<String>>,
    pub(super) reserved_udp_port: Option<Range>,
    pub(super) reserved_tcp_port: Option<Range>,
    pub(super) unreserved_tcp_port: Option<Range>,
    /// Where the disks are named.
    pub(super) diskfile: Option<String>,
    /// Whether any word is one of amanda.conf's.
    pub(super) is_known: bool,
}

/// A block that is open.
struct Block {
    kind: String,
    name: String,
    dumptype: Dumptype,
    source: Option<String>,
    depth: usize,
}

impl Conf {
    /// Reads a file and the files that it includes.
    pub(super) fn read(&mut self, name: &str, files: &mut Files<'_>, report: &mut Report) {
        let mut block: Option<Block> = None;
        for (place, line) in files.lines(name) {
            match &mut block {
                None => block = self.statement(&place, &line, files, report),
                Some(open) => self.inside(open, &place, &line, report),
            }
            if let Some(closed) = block.take_if(|block| block.depth == 0) {
                self.close(closed);
            }
        }
    }

    /// Reads a line outside of blocks.
    fn statement(
        &mut self,
        place: &Place,
        line: &Line,
        files: &mut Files<'_>,
        report: &mut Report,
    ) -> Option<Block> {
        let words: Vec<&str> = line.tokens.iter().filter_map(Token::word).collect();
        let keyword = line.tokens.first().and_then(Token::keyword).unwrap_or_default();
        let value = words.get(1).copied().unwrap_or_default();
        self.is_known |= KNOWN.contains(&keyword.as_str());
        match keyword.as_str() {
            "includefile" => match files.include(value) {
                Ok(name) => self.read(&name, files, report),
                Err(why) => report.lose(place, why),
            },
            "diskfile" => self.diskfile = Some(value.to_owned()),
            "reserved-udp-port" => self.reserved_udp_port = range(place, &words, report),
            "reserved-tcp-port" => self.reserved_tcp_port = range(place, &words, report),
            "unreserved-tcp-port" => self.unreserved_tcp_port = range(place, &words, report),
            _ => {}
        }
        let depth = depth_after(0, line);
        let name = words.get(2).map(|name| name.to_lowercase()).unwrap_or_default();
        (depth > 0).then(|| Block {
            kind: if keyword == "define" { value.to_lowercase() } else { keyword },
            name,
            dumptype: Dumptype::default(),
            source: None,
            depth,
        })
    }

    /// Reads a line of a block; those of blocks within it say nothing about the network.
    fn inside(&self, block: &mut Block, place: &Place, line: &Line, report: &mut Report) {
        let was_outer = block.depth == 1;
        block.depth = depth_after(block.depth, line);
        if !was_outer {
            return;
        }
        let value = line.tokens.get(1).and_then(Token::word);
        match block.kind.as_str() {
            "dumptype" => option(&mut block.dumptype, self, place, line, report),
            "interface" if is(line, "src-ip") => block.source = value.map(str::to_owned),
            _ => {}
        }
    }

    fn close(&mut self, block: Block) {
        let Block { kind, name, dumptype, source, depth: _ } = block;
        match kind.as_str() {
            "dumptype" => drop(self.dumptypes.insert(name, dumptype)),
            "interface" => drop(self.interfaces.insert(name, source)),
            _ => {}
        }
    }
}

/// Words that tell an amanda.conf from other files.
const KNOWN: [&str; 14] = [
    "define",
    "includefile",
    "org",
    "mailto",
    "dumpuser",
    "dumpcycle",
    "tapecycle",
    "tapetype",
    "tapedev",
    "tpchanger",
    "infofile",
    "logdir",
    "indexdir",
    "inparallel",
];

/// Reads one option of a dumptype, in amanda.conf or in a disklist: a setting, or a parent's name.
pub(super) fn option(
    dumptype: &mut Dumptype,
    conf: &Conf,
    place: &Place,
    line: &Line,
    report: &mut Report,
) {
    let value = line.tokens.get(1).and_then(Token::word).unwrap_or_default();
    let first = line.tokens.first();
    match first.and_then(Token::keyword).unwrap_or_default().as_str() {
        "auth" => {
            report.carry(place);
            dumptype.auth = Some((value.to_lowercase(), place.clone()));
        }
        "client-port" => {
            report.carry(place);
            dumptype.client_port = Some((value.to_owned(), place.clone()));
        }
        _ => {
            let name = first.and_then(Token::word).unwrap_or_default().to_lowercase();
            let parent = conf.dumptypes.get(&name).filter(|_| line.tokens.len() <= 2);
            parent.into_iter().for_each(|parent| dumptype.inherit(parent));
        }
    }
}

fn is(line: &Line, keyword: &str) -> bool {
    line.tokens.first().and_then(Token::keyword).as_deref() == Some(keyword)
}

/// Returns how many blocks are open after a line.
pub(super) fn depth_after(depth: usize, line: &Line) -> usize {
    line.tokens.iter().fold(depth, |depth, token| match token {
        Token::Open => depth + 1,
        Token::Close => depth.saturating_sub(1),
        Token::Word(..) => depth,
    })
}

/// Reads `700,710`, with or without blanks.
fn range(place: &Place, words: &[&str], report: &mut Report) -> Option<Range> {
    let text = words.get(1..).unwrap_or_default().join(" ");
    let numbers: Vec<u16> = text.split([',', ' ']).filter_map(|word| word.parse().ok()).collect();
    match *numbers.as_slice() {
        [low, high] if low <= high => {
            report.carry(place);
            Some((low, high))
        }
        _ => {
            report.lose(place, "a range is two ports: 50000,50100");
            None
        }
    }
}
