//! Real frames with random changes, the same ones in each run.

use amanda_fw_tests::frames::Packet;
use amanda_fw_tests::random::splitmix64;

use crate::headers::{bytes, whole};
use crate::pair::{Pair, devices};
use crate::talk::Talk;

/// How many frames of each test a device meets.
const COUNT: usize = 1500;

/// After how many frames a device forgets.
const BATCH: usize = 50;

/// The shortest frame that the kernel runs a program on.
const SHORTEST: usize = 14;

#[test]
#[ignore = "needs root: BPF"]
fn changed_frames() {
    let packets = whole();
    let mut pair = Pair::new();
    for device in devices() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for index in 0..COUNT {
            if index % BATCH == 0 {
                pair.clear();
            }
            let hook = device[random.below(2)];
            let mut frame = bytes(&packets[random.below(packets.len())], hook.link());
            // The addresses of Ethernet mean nothing here.
            random.change(&mut frame, SHORTEST - 2);
            pair.meets_frame(hook, &frame);
        }
    }
    assert!(pair.refused < pair.seen / 10, "{} seen, {} refused", pair.seen, pair.refused);
}

#[test]
#[ignore = "needs root: BPF"]
fn changed_datagrams_of_a_control_flow() {
    const LINES: [&str; 4] = [
        "CONNECT DATA 50002 MESG 50003 INDEX 50004 STATE 50005\n",
        "CONNECT CTL 50011 DATA 50012 STATE 50013\n",
        "CONNECT MESG 50010\n",
        "CONNECT DATA 50002 MESG 499998 INDEX -1\n",
    ];
    let services = ["sendbackup", "amidxtaped", "amindexd", "sendbackup"];
    let talk = Talk::backup(1);
    let mut pair = Pair::new();
    for device in devices() {
        let mut random = Random(0xbf58_476d_1ce4_e5b9);
        for _ in 0..COUNT {
            pair.clear();
            let kind = random.below(LINES.len());
            let mut talks = [talk.request(services[kind]), talk.receipt(), talk.reply(LINES[kind])];
            // Half of the changes meet the reply: there is most to read.
            let at = [0, 1, 2, 2][random.below(4)];
            random.change_text(&mut talks[at]);
            for (packet, hook) in talks.iter().zip([device[0], device[1], device[1]]) {
                pair.meets(hook, packet);
            }
        }
    }
    assert_eq!(pair.refused, 0);
}

/// The changes of one run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("less than the limit")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Makes one to four changes behind an offset.
    fn change(&mut self, bytes: &mut Vec<u8>, from: usize) {
        for _ in 0..=self.below(4) {
            let at = from + self.below(bytes.len() - from);
            match self.below(8) {
                0..=2 => bytes[at] = self.byte(),
                3..=4 => bytes[at] ^= 1 << self.below(8),
                5 => bytes.truncate(at.max(SHORTEST)),
                6 => bytes.extend(vec![0; at]),
                _ => bytes[at] = [0, 1, 8, 20, 40, 44, 58, 60, 0x7f, 0xff][self.below(10)],
            }
        }
    }

    /// Changes the text of a datagram, and its length with it.
    fn change_text(&mut self, packet: &mut Packet) {
        const HEADER: usize = 8;
        const LETTERS: &[u8] = b" \n-0123456789ADEIMNPSTX\t\r\0\x80";
        let text = &mut packet.payload;
        for _ in 0..=self.below(3) {
            let at = HEADER + self.below(text.len() - HEADER);
            match self.below(6) {
                0 => text[at] = self.byte(),
                1 => text.insert(at, LETTERS[self.below(LETTERS.len())]),
                2 => drop(text.remove(at)),
                3 => text.truncate(at + 1),
                _ => text[at] = LETTERS[self.below(LETTERS.len())],
            }
        }
        let length = u16::try_from(text.len()).expect("a short datagram").to_be_bytes();
        text[4..6].copy_from_slice(&length);
    }
}
