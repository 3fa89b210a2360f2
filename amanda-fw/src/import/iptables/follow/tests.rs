//! Random chains, followed as iptables does and as the draft does: every packet has one fate.

use std::net::IpAddr;

use super::super::Input;
use super::super::chains::Chains;
use super::super::field::{Field, Net, Part, Ports, Word};
use super::*;

/// The fields of a packet that the random rules ask about.
struct Packet {
    interface: Word,
    protocol: Word,
    from: Net,
    port: Ports,
}

impl Packet {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for interface in ["eth0", "eth1"] {
            for protocol in ["tcp", "udp"] {
                for from in ["10.1.0.1", "10.2.0.1", "192.168.0.1"] {
                    all.extend((1..=4).map(|port| Self {
                        interface: Word(interface.to_owned()),
                        protocol: Word(protocol.to_owned()),
                        from: Net::of(from.parse::<IpAddr>().expect("an address"), 32),
                        port: Ports(port, port),
                    }));
                }
            }
        }
        all
    }

    fn meets(&self, asked: &Match) -> bool {
        fn meets<T: Part>(field: &Field<T>, part: &T) -> bool {
            let covers = |wide: &T| wide.covers(part);
            (field.wanted.is_empty() || field.wanted.iter().any(covers))
                && !field.unwanted.iter().any(covers)
        }
        meets(&asked.interface, &self.interface)
            && meets(&asked.protocol, &self.protocol)
            && meets(&asked.from, &self.from)
            && meets(&asked.ports, &self.port)
    }
}

/// A generator of numbers that are the same in every run (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = usize::try_from(self.0 >> 33).expect("31 bits") % from.len();
        from[at]
    }

    /// Writes some rules into a chain that may jump to the chains after it.
    fn chain(&mut self, name: &str, further: &[&str]) -> String {
        let mut targets = vec!["-j ACCEPT", "-j DROP", "-j RETURN", "-j RETURN"];
        targets.extend(further);
        let mut lines = String::new();
        for _ in 0..4 {
            let interface = self.pick(&["", "", "", "-i eth0", "! -i eth0"]);
            let from = self.pick(&["", "", "-s 10.1.0.0/16", "-s 10.0.0.0/8", "! -s 10.2.0.0/16"]);
            let ports = self.pick(&["", "-p tcp", "-p tcp --dport 1:3", "-p udp ! --dport 2"]);
            let target = self.pick(&targets);
            lines.push_str(&format!("-A {name} {interface} {from} {ports} {target}\n"));
        }
        lines
    }

    fn rules(&mut self) -> String {
        let one = self.chain("INPUT", &["-j one", "-g one", "-j two"]);
        let two = self.chain("one", &["-j two", "-g two"]);
        format!("*filter\n:INPUT DROP [0:0]\n:one -\n:two -\n{one}{two}{}", self.chain("two", &[]))
    }
}

/// What becomes of a packet in a chain: its fate, or that it comes back.
fn walk(tables: &Tables, name: &str, packet: &Packet) -> Option<Action> {
    let chain = &tables[&("filter".to_owned(), name.to_owned())];
    for (_, rule) in chain.rules.iter().filter(|(_, rule)| packet.meets(&rule.matching)) {
        match &rule.target {
            Target::Accept => return Some(Action::Accept),
            Target::Drop => return Some(Action::Drop),
            Target::Jump(to) => match walk(tables, to, packet) {
                None => {}
                fate => return fate,
            },
            Target::Goto(to) => return walk(tables, to, packet),
            Target::Reject(_)
            | Target::Log(_)
            | Target::Return
            | Target::Helper(_)
            | Target::Translate(_)
            | Target::Nothing => return None,
        }
    }
    None
}

/// Compares the fates of all packets; tells whether the rules could be carried over whole.
fn check(text: String) -> bool {
    let mut report = Report::default();
    let input = Input { name: "rules".to_owned(), text: text.clone() };
    let chains = Chains::read(&[input], &mut report);
    let tables = &chains.families[&Family::V4];
    let flattening = Flattening::new(tables, Family::V4, Way::In, Action::Drop, &mut report);
    let rules = flattening.follow(&["INPUT"]);
    if report.lost().count() > 0 {
        return false;
    }
    for packet in Packet::all() {
        let expected = walk(tables, "INPUT", &packet).unwrap_or(Action::Drop);
        let first = rules.iter().find(|rule| packet.meets(&rule.matching));
        let found = first.map_or(Action::Drop, |rule| rule.action);
        let Packet { interface, protocol, from, port } = packet;
        assert_eq!(found, expected, "{interface:?} {protocol:?} {from:?} {port:?} in\n{text}");
    }
    true
}

#[test]
fn chains_that_are_followed_mean_what_iptables_makes_of_them() {
    let mut random = Random(1);
    let whole = (0..4000).filter(|_| check(random.rules())).count();
    assert!(whole > 500, "only {whole} were carried over whole");
}
