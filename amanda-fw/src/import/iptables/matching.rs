//! What a rule asks of a packet, and how the wishes of a jump and of a rule behind it combine.

use super::field::{Field, Net, Ports, Word};

/// A rate with its burst, as iptables writes it: `3/min`, 5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Limit {
    /// In the grammar of the draft: `3/min`.
    pub(super) rate: String,
    /// How many may come at once.
    pub(super) burst: u32,
}

/// A limit for each source address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PerSource {
    pub(super) limit: Limit,
    /// Whether the rule is for what exceeds the limit.
    pub(super) is_above: bool,
}

/// What a rule asks of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Match {
    /// The interface that it comes by; once a rule is placed, the one that it crosses.
    pub(super) interface: Field<Word>,
    /// The interface that it leaves by.
    pub(super) output: Field<Word>,
    pub(super) protocol: Field<Word>,
    pub(super) from: Field<Net>,
    pub(super) to: Field<Net>,
    pub(super) ports: Field<Ports>,
    pub(super) source_ports: Field<Ports>,
    /// Ports of either end: `--ports` of multiport.
    pub(super) either_ports: Field<Ports>,
    pub(super) icmp_type: Field<Word>,
    /// States of conntrack, in capitals.
    pub(super) state: Field<Word>,
    /// The word `SYN`, wanted or not.
    pub(super) syn: Field<Word>,
    pub(super) limit: Option<Limit>,
    pub(super) per_source: Option<PerSource>,
}

/// Why two wishes do not make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// No packet meets both.
    Never,
    /// There are packets that meet both, but one rule cannot say which.
    Unsayable,
}

impl Match {
    /// Returns what both ask.
    pub(super) fn and(&self, other: &Self) -> Result<Self, Apart> {
        let joined = Self {
            limit: either(&self.limit, &other.limit)?,
            per_source: either(&self.per_source, &other.per_source)?,
            ..self.fields_and(other).ok_or(Apart::Never)?
        };
        Ok(joined)
    }

    fn fields_and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            interface: self.interface.and(&other.interface)?,
            output: self.output.and(&other.output)?,
            protocol: self.protocol.and(&other.protocol)?,
            from: self.from.and(&other.from)?,
            to: self.to.and(&other.to)?,
            ports: self.ports.and(&other.ports)?,
            source_ports: self.source_ports.and(&other.source_ports)?,
            either_ports: self.either_ports.and(&other.either_ports)?,
            icmp_type: self.icmp_type.and(&other.icmp_type)?,
            state: self.state.and(&other.state)?,
            syn: self.syn.and(&other.syn)?,
            limit: None,
            per_source: None,
        })
    }

    /// Returns what is left of this after the packets of the other went elsewhere.
    pub(super) fn without(&self, other: &Self) -> Result<Self, Apart> {
        if self.fields_and(other).is_none() {
            return Ok(self.clone());
        }
        if other.is_limited() {
            return Err(Apart::Unsayable);
        }
        // Only the fields in which this goes beyond the other tell the rest from what went.
        let beyond = other.beyond(self);
        match (beyond.count(), beyond.not()) {
            (0, _) => Err(Apart::Never),
            (1, Some(rest)) => self.and(&rest),
            _ => Err(Apart::Unsayable),
        }
    }

    /// Returns this with only those fields in which the other asks for less.
    fn beyond(&self, other: &Self) -> Self {
        let Self {
            interface,
            output,
            protocol,
            from,
            to,
            ports,
            source_ports,
            either_ports,
            icmp_type,
            state,
            syn,
            limit: _,
            per_source: _,
        } = self.clone();
        Self {
            interface: beyond(interface, &other.interface),
            output: beyond(output, &other.output),
            protocol: beyond(protocol, &other.protocol),
            from: beyond(from, &other.from),
            to: beyond(to, &other.to),
            ports: beyond(ports, &other.ports),
            source_ports: beyond(source_ports, &other.source_ports),
            either_ports: beyond(either_ports, &other.either_ports),
            icmp_type: beyond(icmp_type, &other.icmp_type),
            state: beyond(state, &other.state),
            syn: beyond(syn, &other.syn),
            limit: None,
            per_source: None,
        }
    }

    /// Returns the opposite of the one field that asks for anything.
    ///
    /// Ports of either end are two rules in the draft, and so have no opposite.
    fn not(&self) -> Option<Self> {
        if !self.either_ports.is_any() {
            return None;
        }
        Some(Self {
            interface: not(&self.interface)?,
            output: not(&self.output)?,
            protocol: not(&self.protocol)?,
            from: not(&self.from)?,
            to: not(&self.to)?,
            ports: not(&self.ports)?,
            source_ports: not(&self.source_ports)?,
            icmp_type: not(&self.icmp_type)?,
            state: not(&self.state)?,
            syn: not(&self.syn)?,
            ..Self::default()
        })
    }

    /// Counts the fields that ask for anything.
    fn count(&self) -> usize {
        let asks = [
            !self.interface.is_any(),
            !self.output.is_any(),
            !self.protocol.is_any(),
            !self.from.is_any(),
            !self.to.is_any(),
            !self.ports.is_any(),
            !self.source_ports.is_any(),
            !self.either_ports.is_any(),
            !self.icmp_type.is_any(),
            !self.state.is_any(),
            !self.syn.is_any(),
        ];
        asks.iter().filter(|asks| **asks).count()
    }

    /// Tells whether every packet will do.
    pub(super) fn is_any(&self) -> bool {
        self.count() == 0 && !self.is_limited()
    }

    /// Tells whether it depends on how many packets came before.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some() || self.per_source.is_some()
    }

    /// Returns what is asked of a packet itself.
    pub(super) fn unlimited(&self) -> Self {
        Self { limit: None, per_source: None, ..self.clone() }
    }
}

fn either<T: Clone>(one: &Option<T>, other: &Option<T>) -> Result<Option<T>, Apart> {
    match (one, other) {
        (Some(_), Some(_)) => Err(Apart::Unsayable),
        (one, other) => Ok(one.clone().or_else(|| other.clone())),
    }
}

fn beyond<T: super::field::Part>(field: Field<T>, other: &Field<T>) -> Field<T> {
    if other.is_within(&field) { Field::default() } else { field }
}

fn not<T: super::field::Part>(field: &Field<T>) -> Option<Field<T>> {
    if field.is_any() { Some(Field::default()) } else { field.not() }
}

#[cfg(test)]
mod tests {
    use super::super::rule;
    use super::*;

    fn matching(text: &str) -> Match {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        rule::read(&words).matching
    }

    fn check(rule: &str, returned: &str, left: Result<&str, Apart>) {
        assert_eq!(matching(rule).without(&matching(returned)), left.map(matching), "{rule}");
    }

    #[test]
    fn what_returned_is_excluded_from_the_rules_behind() {
        check("-p tcp", "-s 10.0.0.0/8", Ok("-p tcp ! -s 10.0.0.0/8"));
        check("-p tcp --dport 22", "-p tcp --dport 80", Ok("-p tcp --dport 22"));
        check("-p tcp", "-p tcp --dport 80", Ok("-p tcp ! --dport 80"));
        check("-p udp", "-p tcp --dport 80", Ok("-p udp"));
        check("-p tcp --dport 22 -s 10.1.0.0/16", "-p tcp -s 10.0.0.0/8", Err(Apart::Never));
    }

    #[test]
    fn what_one_rule_cannot_say_is_not_said() {
        check("", "-p tcp --dport 80", Err(Apart::Unsayable));
        check("-p tcp", "-m limit --limit 3/min", Err(Apart::Unsayable));
        check("-p tcp --dport 1:90", "-p tcp -s 10.0.0.0/8 --dport 80", Err(Apart::Unsayable));
    }
}
