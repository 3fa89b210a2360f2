//! The options of a rule, one by one.

use std::slice::Iter;

use super::matching::{Limit, Match, PerSource};
use super::nat::{Kind, Translation};
use super::rule::{Log, Rule, Target};
use super::value;

/// The burst of `-m limit` and `-m hashlimit` where a rule names none.
const BURST: u32 = 5;

/// Takes the value of an option; the old place of a `!` is before it.
fn next<'a>(
    words: &mut Iter<'a, String>,
    option: &str,
    is_not: &mut bool,
) -> Result<&'a str, String> {
    let mut found = words.next();
    if found.is_some_and(|word| word == "!") {
        *is_not = true;
        found = words.next();
    }
    found.map(String::as_str).ok_or_else(|| format!("{option} has no value"))
}

/// Modules whose options are read one by one.
const MODULES: [&str; 16] = [
    "tcp",
    "udp",
    "udplite",
    "icmp",
    "icmp6",
    "icmpv6",
    "state",
    "conntrack",
    "multiport",
    "limit",
    "hashlimit",
    "comment",
    "hl",
    "ttl",
    "standard",
    "sctp",
];

/// Says what the draft has no word for.
fn module(name: &str) -> Result<(), String> {
    match name {
        known if MODULES.contains(&known) => Ok(()),
        "recent" => {
            Err("a rule cannot remember addresses (-m recent): limit_per_source may do".to_owned())
        }
        "set" => Err("there are no sets (-m set): name the addresses in [hosts]".to_owned()),
        "addrtype" => Err("a rule does not know types of addresses (-m addrtype)".to_owned()),
        other => Err(format!("a rule has nothing like -m {other}")),
    }
}

/// An option with its value, and whether a `!` stands before one of both.
struct Given<'a> {
    option: &'a str,
    value: &'a str,
    is_not: bool,
}

/// Options whose value may begin with a dash.
const FREE_TEXT: [&str; 3] = ["--comment", "--log-prefix", "--nflog-prefix"];

/// Tells whether a value follows an option.
fn has_value(option: &str, words: &Iter<'_, String>) -> bool {
    let is_value = |word: &String| FREE_TEXT.contains(&option) || !word.starts_with('-');
    option.starts_with('-') && words.as_slice().first().is_some_and(is_value) && option != "--syn"
}

impl Rule {
    /// Reads an option with its value, or says what the draft has no word for.
    pub(super) fn option(
        &mut self,
        option: &str,
        words: &mut Iter<'_, String>,
        mut is_not: bool,
    ) -> Result<(), String> {
        if !has_value(option, words) {
            return self.bare(option, is_not);
        }
        let value = next(words, option, &mut is_not)?;
        let given = Given { option, value, is_not };
        match option {
            "-m" | "--match" => module(value),
            "-j" | "--jump" => self.jump(value),
            "-g" | "--goto" => {
                self.target = Target::Goto(value.to_owned());
                Ok(())
            }
            _ if option.starts_with("--hashlimit") => self.per_source(&given),
            _ => self.field(&given, words),
        }
    }

    fn bare(&mut self, option: &str, is_not: bool) -> Result<(), String> {
        match option {
            "--syn" => self.matching.syn = value::syn(is_not),
            "-f" | "--fragment" => return Err("a rule does not tell fragments (-f)".to_owned()),
            "--persistent" => {}
            "--random" | "--random-fully" => {
                self.remarks.push("ports were drawn at random; here they stay where they are free");
            }
            _ => return self.unknown(option),
        }
        Ok(())
    }

    fn field(&mut self, given: &Given<'_>, words: &mut Iter<'_, String>) -> Result<(), String> {
        let &Given { option, value, is_not } = given;
        let asked = &mut self.matching;
        match option {
            "-s" | "--source" | "--src" => asked.from = value::networks(value, is_not)?,
            "-d" | "--destination" | "--dst" => asked.to = value::networks(value, is_not)?,
            "-i" | "--in-interface" => asked.interface = value::interface(value, is_not)?,
            "-o" | "--out-interface" => asked.output = value::interface(value, is_not)?,
            "-p" | "--protocol" => asked.protocol = value::protocol(value, is_not),
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                asked.ports = value::ports(value, is_not)?;
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                asked.source_ports = value::ports(value, is_not)?;
            }
            "--ports" | "--port" => asked.either_ports = value::ports(value, is_not)?,
            "--state" | "--ctstate" => asked.state = value::states(value, is_not)?,
            "--tcp-flags" => {
                let set = words.next().map(String::as_str).unwrap_or_default();
                asked.syn = value::flags(value, set, is_not)?;
            }
            "--icmp-type" | "--icmpv6-type" => {
                asked.icmp_type = value::icmp_type(value, option == "--icmpv6-type", is_not)?;
            }
            "--limit" => limit(asked).rate = value::rate(value)?,
            "--limit-burst" => limit(asked).burst = value::number(value)?,
            "--hl-eq" | "--ttl-eq" => self.hop_limit = Some(value.to_owned()),
            "--comment" => self.comment = Some(value.to_owned()),
            "--log-prefix" | "--nflog-prefix" => self.log_prefix = value.to_owned(),
            "--log-level" | "--nflog-group" | "--nflog-threshold" => {}
            "--reject-with" => self.target = value::rejection(value, &mut self.remarks)?,
            "--helper" => self.target = Target::Helper(value.to_owned()),
            "--to" | "--to-destination" | "--to-source" | "--to-ports" => {
                self.to = Some(value.to_owned());
            }
            _ => return self.unknown(option),
        }
        Ok(())
    }

    fn jump(&mut self, name: &str) -> Result<(), String> {
        self.target = match name {
            "ACCEPT" => Target::Accept,
            "DROP" => Target::Drop,
            // iptables(8), REJECT: "the default is icmp-port-unreachable", for TCP as well.
            "REJECT" => Target::Reject("port-unreachable"),
            "LOG" | "NFLOG" => Target::Log(Log::default()),
            "RETURN" => Target::Return,
            "CT" => Target::Helper(String::new()),
            "MASQUERADE" => Target::Translate(Translation::of(Kind::Masquerade)),
            "SNAT" => Target::Translate(Translation::of(Kind::Source)),
            "DNAT" => Target::Translate(Translation::of(Kind::Destination)),
            _ if OTHER_TARGETS.contains(&name) => {
                return Err(format!("a rule cannot {name}"));
            }
            chain => Target::Jump(chain.to_owned()),
        };
        Ok(())
    }

    /// Complains about an option, unless its module was complained about.
    fn unknown(&self, option: &str) -> Result<(), String> {
        let is_stray = !option.starts_with('-') || !self.lost.is_empty();
        if is_stray { Ok(()) } else { Err(format!("a rule has nothing like {option}")) }
    }

    fn per_source(&mut self, given: &Given<'_>) -> Result<(), String> {
        let &Given { option, value, is_not: _ } = given;
        let start = || PerSource { limit: unlimited(), is_above: false };
        let per_source = self.matching.per_source.get_or_insert_with(start);
        match option {
            "--hashlimit" | "--hashlimit-upto" => per_source.limit.rate = value::rate(value)?,
            "--hashlimit-above" => {
                per_source.limit.rate = value::rate(value)?;
                per_source.is_above = true;
            }
            "--hashlimit-burst" => per_source.limit.burst = value::number(value)?,
            "--hashlimit-mode" if value != "srcip" => {
                return Err(format!("limits are for a rule or for each source, not by {value}"));
            }
            "--hashlimit-srcmask" if !["32", "128"].contains(&value) => {
                return Err("limit_per_source counts single addresses".to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Targets that change or steer packets.
const OTHER_TARGETS: [&str; 19] = [
    "AUDIT",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "DSCP",
    "MARK",
    "NETMAP",
    "NFQUEUE",
    "NOTRACK",
    "QUEUE",
    "REDIRECT",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TEE",
    "TOS",
    "TPROXY",
    "TTL",
    "ULOG",
];

/// iptables-extensions(8), limit: three an hour, five at once.
fn unlimited() -> Limit {
    Limit { rate: String::new(), burst: BURST }
}

fn limit(asked: &mut Match) -> &mut Limit {
    asked.limit.get_or_insert_with(|| Limit { rate: "3/h".to_owned(), burst: BURST })
}
