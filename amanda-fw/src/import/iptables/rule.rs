//! The words of one rule: what it asks of a packet, and what it does with it.

use super::field::Word;
use super::matching::Match;
use super::nat::Translation;

/// What a rule writes to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) prefix: String,
    /// In the grammar of the draft: `3/min`.
    pub(super) rate: Option<String>,
}

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Accept,
    Drop,
    /// With the answer, as the draft calls it.
    Reject(&'static str),
    Log(Log),
    Return,
    Jump(String),
    Goto(String),
    /// `CT --helper NAME`.
    Helper(String),
    /// In the table nat: an address becomes another one.
    Translate(Translation),
    /// None: the rule only counts.
    Nothing,
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) matching: Match,
    pub(super) target: Target,
    pub(super) comment: Option<String>,
    /// What changes in meaning.
    pub(super) remarks: Vec<&'static str>,
    /// What the draft cannot say; if anything, the rule does not go over.
    pub(super) lost: Vec<String>,
    /// What `-m hl` or `-m ttl` asks for.
    pub(super) hop_limit: Option<String>,
    /// What an address becomes, as it is written.
    pub(super) to: Option<String>,
    pub(super) log_prefix: String,
}

/// Reads the words of a rule.
pub(super) fn read(words: &[String]) -> Rule {
    let mut rule = Rule {
        matching: Match::default(),
        target: Target::Nothing,
        comment: None,
        remarks: Vec::new(),
        lost: Vec::new(),
        hop_limit: None,
        to: None,
        log_prefix: String::new(),
    };
    let mut words = words.iter();
    let mut is_not = false;
    while let Some(word) = words.next() {
        if word == "!" {
            is_not = true;
            continue;
        }
        if let Err(why) = rule.option(word, &mut words, is_not) {
            rule.lost.push(why);
        }
        is_not = false;
    }
    rule.finish();
    rule
}

impl Rule {
    /// Puts together what stands in several options.
    fn finish(&mut self) {
        if let Target::Log(log) = &mut self.target {
            log.prefix.clone_from(&self.log_prefix);
        }
        if let Target::Translate(translation) = &mut self.target {
            match Translation::read(translation.kind, self.to.as_deref()) {
                Ok(read) => *translation = read,
                Err(why) => self.lost.push(why),
            }
        }
        if self.hop_limit.is_some() && !self.is_neighbour_discovery() {
            self.lost.push("a rule does not look at the hop limit".to_owned());
        }
        if self.matching.per_source.as_ref().is_some_and(|of| of.limit.rate.is_empty()) {
            self.lost.push("-m hashlimit without a rate".to_owned());
        }
        if let Some(why) = self.portless() {
            self.lost.push(why);
        }
    }

    /// Tells whether hosts look at the hop limit themselves (RFC 4861, 6.1 and 7.1: must be 255).
    fn is_neighbour_discovery(&self) -> bool {
        const TYPES: [&str; 5] = [
            "router-solicitation",
            "router-advertisement",
            "neighbour-solicitation",
            "neighbour-advertisement",
            "redirect",
        ];
        let types = &self.matching.icmp_type.wanted;
        self.hop_limit.as_deref() == Some("255")
            && self.matching.protocol.wanted == [Word("icmpv6".to_owned())]
            && !types.is_empty()
            && types.iter().all(|Word(name)| TYPES.contains(&name.as_str()))
    }

    /// Says which protocol has no ports to ask for.
    fn portless(&self) -> Option<String> {
        let Match { ports, source_ports, either_ports, protocol, .. } = &self.matching;
        let asks = !(ports.is_any() && source_ports.is_any() && either_ports.is_any());
        let odd =
            protocol.wanted.iter().find(|Word(name)| !["tcp", "udp"].contains(&name.as_str()));
        odd.filter(|_| asks).map(|Word(name)| format!("a rule knows no ports of {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::Field;
    use super::*;

    fn check(text: &str, expected: Result<Target, &str>) {
        let words = super::super::words::split(text, &Default::default()).expect("words");
        let Rule { target, lost, .. } = read(&words);
        let found = if lost.is_empty() { Ok(target) } else { Err(lost.join("; ")) };
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn targets_are_read_with_their_options() {
        check("-p tcp -j ACCEPT", Ok(Target::Accept));
        check("-j REJECT", Ok(Target::Reject("port-unreachable")));
        check("-j REJECT --reject-with tcp-reset", Ok(Target::Reject("tcp-reset")));
        check("-j REJECT --reject-with icmp6-no-route", Ok(Target::Reject("net-unreachable")));
        let log = Log { prefix: "amanda high: ".to_owned(), rate: None };
        check("-j LOG --log-prefix \"amanda high: \" --log-level 4", Ok(Target::Log(log)));
        check("-j CT --helper amanda", Ok(Target::Helper("amanda".to_owned())));
        check("-p tcp -m tcp", Ok(Target::Nothing));
        check("-g blocked", Ok(Target::Goto("blocked".to_owned())));
    }

    #[test]
    fn what_a_rule_cannot_say_is_named() {
        check("-m mark --mark 1 -j ACCEPT", Err("a rule has nothing like -m mark"));
        check("-i eth+ -j ACCEPT", Err("a rule names interfaces one by one, not as eth+"));
        check("-p sctp --dport 9 -j ACCEPT", Err("a rule knows no ports of sctp"));
        check("-m hl --hl-eq 255 -j ACCEPT", Err("a rule does not look at the hop limit"));
        let neighbour = "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j ACCEPT";
        check(neighbour, Ok(Target::Accept));
        let far = neighbour.replace("255", "64");
        check(&far, Err("a rule does not look at the hop limit"));
        check("-j MARK --set-mark 1", Err("a rule cannot MARK"));
        let sets = "there are no sets (-m set): name the addresses in [hosts]";
        check("-m set --match-set bad src -j DROP", Err(sets));
    }

    #[test]
    fn a_syn_is_told_by_its_flags_in_any_order() {
        let syn = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            read(&words).matching.syn
        };
        let word = |is_not| Field::new(vec![Word("SYN".to_owned())], is_not);
        let (wanted, unwanted) = (word(false), word(true));
        assert_eq!(syn("-p tcp --syn"), wanted);
        assert_eq!(syn("-p tcp --tcp-flags FIN,SYN,RST,ACK SYN"), wanted);
        assert_eq!(syn("-p tcp ! --tcp-flags SYN,ACK,FIN,RST SYN"), unwanted);
        assert_eq!(syn("-p tcp --tcp-flags ALL NONE"), Field::default());
    }
}
