//! Cases of a captured request and its reply with changes, the same ones in each run.

use crate::case::{Case, Step};
use crate::{reading, real};
use amanda_fw_tests::random::splitmix64;

/// How many cases.
const COUNT: usize = 400;

/// Lists the cases.
pub(crate) fn mutations() -> Vec<Case> {
    let announcing: Vec<_> = real::captured().into_iter().filter_map(datagrams).collect();
    let mut random = Random(0x94d0_49bb_1331_11eb);
    let case = |index| {
        let (mut request, mut reply) = random.of(&announcing).clone();
        for _ in 0..=random.below(2) {
            random.change(&mut request, &mut reply);
        }
        Case::answered(format!("change {index}"), request, reply)
    };
    (0..COUNT).map(case).collect()
}

/// Returns a request and its reply, if that announces streams.
fn datagrams(case: Case) -> Option<(Vec<u8>, Vec<u8>)> {
    let [Step::Asks(_, request), Step::Answers(_, reply)] =
        <[Step; 2]>::try_from(case.steps).ok()?
    else {
        return None;
    };
    let announces = reading::header(&reply).is_some_and(|header| reading::is_connect(header.body));
    announces.then_some((request, reply))
}

/// Numbers at the borders of what a port, an id or a digit is.
const NUMBERS: [&str; 22] = [
    "-1",
    "-2",
    "0",
    "1",
    "22",
    "1023",
    "1024",
    "10080",
    "10083",
    "50094",
    "65535",
    "65536",
    "65558",
    "99999",
    "399999",
    "400000",
    "499999",
    "500000",
    "050093",
    "0x50",
    "50093x",
    "4294967318",
];

/// Names that streams have, might have, and contain.
const NAMES: [&str; 10] =
    ["DATA", "MESG", "INDEX", "STATE", "CMD", "CTL", "METADATA", "data", "STATES", "X"];

/// What may stand where a blank or a newline belongs.
const GAPS: [&str; 6] = ["\t", "\r\n", "  ", "\n", "\0", " "];

/// What may precede the line.
const PRECEDING: [&str; 5] = ["\n", "KENCRYPT\n", "OPTIONS x;\n", "ERROR [tar: ", "CONNECT "];

const KINDS: [&str; 5] = ["REQ", "PREP", "ACK", "NAK", "rep"];

const SERVICES: [&str; 8] =
    ["noop", "selfcheck", "sendsize", "sendbackup", "amindexd", "amidxtaped", "restore", "amdumpd"];

/// The changes of one run.
struct Random(u64);

impl Random {
    /// Makes one change to a reply, or to its request.
    fn change(&mut self, request: &mut Vec<u8>, reply: &mut Vec<u8>) {
        match self.below(14) {
            0 => {
                let at = self.below(reply.len().min(120));
                let bit = 1 << self.below(8);
                reply.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
            1 => reply.truncate(self.below(reply.len())),
            2..=4 => self.replace(reply, is_number, &NUMBERS),
            5 => self.replace(reply, |word| word.bytes().all(|b| b.is_ascii_uppercase()), &NAMES),
            6 => self.replace(reply, |word| word == "REP", &KINDS),
            7 => *request = self.asking(request),
            8 => self.precede(reply),
            9 => self.widen(reply),
            10 => self.shuffle(reply, |words, one, other| words.swap(one, other)),
            11 => self.shuffle(reply, |words, one, other| words.insert(other, words[one].clone())),
            12 => self.shuffle(reply, |words, one, _| drop(words.remove(one))),
            _ => self.shuffle(reply, |words, one, _| words.truncate(one)),
        }
    }

    /// Puts another word in the place of one that fits.
    fn replace(&mut self, text: &mut Vec<u8>, fits: impl Fn(&str) -> bool, words: &[&str]) {
        let places: Vec<_> = words_of(text).into_iter().filter(|(_, word)| fits(word)).collect();
        if !places.is_empty() {
            let (at, word) = self.of(&places).clone();
            text.splice(at..at + word.len(), self.of(words).bytes());
        }
    }

    /// Asks for another service.
    fn asking(&mut self, request: &[u8]) -> Vec<u8> {
        let text = str::from_utf8(request).expect("a request in ASCII");
        let (before, rest) = text.split_once("SERVICE ").expect("a request's service");
        let (_, after) = rest.split_once('\n').expect("a request's lines");
        format!("{before}SERVICE {}\n{after}", self.of(&SERVICES)).into_bytes()
    }

    /// Puts something before the line.
    fn precede(&mut self, text: &mut Vec<u8>) {
        let body = body(text);
        text.splice(body..body, self.of(&PRECEDING).bytes());
    }

    /// Replaces a blank or a newline.
    fn widen(&mut self, text: &mut Vec<u8>) {
        let gaps: Vec<_> = (0..text.len()).filter(|&at| b" \n".contains(&text[at])).collect();
        if !gaps.is_empty() {
            let at = *self.of(&gaps);
            text.splice(at..=at, self.of(&GAPS).bytes());
        }
    }

    /// Changes the order and number of what stands between blanks, most often behind the header.
    fn shuffle(&mut self, text: &mut Vec<u8>, act: impl Fn(&mut Vec<Vec<u8>>, usize, usize)) {
        let body = if self.below(5) == 0 { 0 } else { body(text) };
        let rest = text.split_off(body);
        let mut words: Vec<Vec<u8>> = rest.split(|&b| b == b' ').map(<[u8]>::to_vec).collect();
        let (one, other) = (self.below(words.len()), self.below(words.len()));
        act(&mut words, one, other);
        text.extend(words.join(&b' '));
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).expect("a length of 64 bits");
        usize::try_from(self.next() % limit).expect("less than the limit")
    }

    fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }
}

/// Finds where the body begins.
fn body(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

/// Finds what stands between blanks and newlines, each with its place.
fn words_of(text: &[u8]) -> Vec<(usize, String)> {
    let mut at = 0;
    let mut words = Vec::new();
    for word in text.split(|byte| b" \n".contains(byte)) {
        words.push((at, String::from_utf8_lossy(word).into_owned()));
        at += word.len() + 1;
    }
    // What a bit flip made unreadable would have another length.
    words.retain(|(_, word)| !word.is_empty() && word.is_ascii());
    words
}

fn is_number(word: &str) -> bool {
    word.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
}
