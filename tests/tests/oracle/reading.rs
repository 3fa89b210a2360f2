//! Datagrams as a person reads them, and as the helper is described to: by neither one's code.

use crate::real::vectors;

#[test]
fn the_helper_is_read_as_it_was_measured() {
    for vector in vectors() {
        if let Some(answer) = vector.single_answer() {
            let read = of_helper(answer.text).into_iter().collect();
            assert_eq!(vector.known.open, read, "{}", vector.name);
        }
    }
}

/// The first line of a datagram, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) kind: &'a str,
    pub(crate) handle: &'a str,
    pub(crate) sequence: &'a str,
    pub(crate) body: &'a [u8],
}

/// Reads `Amanda 3.5 REP HANDLE 000-00000000 SEQ 1795180617`.
pub(crate) fn header(text: &[u8]) -> Option<Header<'_>> {
    const KINDS: [&str; 5] = ["REQ", "REP", "PREP", "ACK", "NAK"];
    let (line, body) = cut(text)?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["Amanda", version, kind, "HANDLE", handle, "SEQ", sequence] = words[..] else {
        return None;
    };
    let (major, minor) = version.split_once('.')?;
    let is_short_number = |part: &str| (1..=2).contains(&part.len()) && is_digits(part);
    let digits = sequence.strip_prefix('-').unwrap_or(sequence);
    let is_sound = [major, minor].into_iter().all(is_short_number)
        && KINDS.contains(&kind)
        && is_word(handle)
        && is_word(sequence)
        && is_digits(digits);
    is_sound.then_some(Header { kind, handle, sequence, body })
}

/// Reads the service of a request's body.
pub(crate) fn service(body: &[u8]) -> &str {
    let second = cut(body).and_then(|(first, rest)| {
        let (line, _) = cut(rest)?;
        first.starts_with("SECURITY USER ").then_some(line)
    });
    second.and_then(|line| line.strip_prefix("SERVICE ")).unwrap_or_default()
}

/// Tells whether a reply's body begins with the word CONNECT.
pub(crate) fn is_connect(body: &[u8]) -> bool {
    body.starts_with(CONNECT)
}

/// Reads the names and numbers of a CONNECT line, if that is all there is on it.
pub(crate) fn streams(body: &[u8]) -> Option<Vec<(&str, &str)>> {
    const LONGEST: usize = 160;
    const MOST: usize = 5;
    let (line, _) = cut(body)?;
    let words: Vec<&str> = line.strip_prefix("CONNECT ")?.split(' ').collect();
    let pairs = words.chunks_exact(2);
    let is_sound = line.len() < LONGEST
        && words.iter().all(|word| is_word(word))
        && pairs.remainder().is_empty()
        && pairs.len() <= MOST;
    is_sound.then(|| pairs.map(|pair| (pair[0], pair[1])).collect())
}

/// Finds the ports that the helper takes out of a datagram: after the first `CONNECT ` anywhere and
/// before the next newline, the first occurrence of each of four names, in an order of its own, and
/// up to five digits behind each; at a number that is 0 to it, it stops.
pub(crate) fn of_helper(text: &[u8]) -> Vec<u16> {
    let mut ports = Vec::new();
    let Some(line) = after(text, CONNECT).and_then(|rest| {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        Some(&rest[..end])
    }) else {
        return ports;
    };
    for name in HELPER_ORDER {
        let Some(rest) = after(line, format!("{name} ").as_bytes()) else {
            continue;
        };
        let digits = rest.iter().take(5).take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        // What does not fit into 16 bits loses its high ones.
        match number % (1 << 16) {
            0 => break,
            port => ports.push(u16::try_from(port).expect("16 bits")),
        }
    }
    ports
}

/// The names that the helper looks for, in its order.
pub(crate) const HELPER_ORDER: [&str; 4] = ["DATA", "MESG", "INDEX", "STATE"];

const CONNECT: &[u8] = b"CONNECT ";

/// Splits a text of readable characters off at its first newline.
fn cut(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((str::from_utf8(&text[..end]).ok()?, &text[end + 1..]))
}

fn after<'a>(text: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(what.len()).position(|window| window == what)?;
    Some(&text[at + what.len()..])
}

/// Tells whether it is a word of the size that Amanda's have.
fn is_word(word: &str) -> bool {
    (1..=15).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
