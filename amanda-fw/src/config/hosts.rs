//! Names of hosts, and the places that a configuration names with them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use amanda_fw_common::addr::Network;

use super::mistake::{Mistake, Span};
use super::network;
use super::scalar::{complain, text};
use super::section::{Read, Value, did_you_mean, list, table};
use super::selection::{Selection, selection};

/// Words that stand for places, and so name no host.
const ANY: &str = "any";
const OWN: &str = "self";
const ON_LINK: &str = "on-link";
const WORDS: [&str; 3] = [ANY, OWN, ON_LINK];

/// Lists the words that stand for places.
pub(super) fn words() -> Vec<String> {
    WORDS.map(str::to_owned).to_vec()
}

/// Hosts or networks that packets come from or go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Everywhere.
    Any,
    /// The addresses of the machine itself.
    Own,
    /// The networks that the machine is connected to.
    OnLink,
    /// One network or address, of IPv4 or of IPv6 but not of both.
    Network(Network),
}

/// A network, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The network.
    pub(super) network: Network,
    /// Where it stands in the text.
    pub(super) span: Span,
}

/// The hosts that the configuration gives a name.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    networks: BTreeMap<String, Vec<Network>>,
    /// Every network that was read so far, under a name or as a place.
    written: RefCell<Vec<Written>>,
}

impl Hosts {
    /// Reads `[hosts]`; a name stays known when its addresses are wrong, so that it is complained
    /// about once.
    pub(super) fn read(&mut self, value: &Value<'_>) -> Read<()> {
        let mut mistakes = Vec::new();
        for (name, addresses) in table(value)? {
            let networks = list(addresses, |value| self.network(value, text(value)?));
            let networks = networks.unwrap_or_else(|found| {
                mistakes.extend(found);
                Vec::new()
            });
            let text = name.get_ref().to_string();
            mistakes.extend(refuse(&text, name.span()));
            self.networks.insert(text, networks);
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Reads a list of places, or one place; nothing is excluded.
    pub(super) fn places(&self, value: &Value<'_>) -> Read<Vec<Place>> {
        let places = list(value, |element| match text(element)? {
            text if text.starts_with('!') => {
                let mistake = Mistake::new(element.span(), "nothing can be excluded here");
                Err(vec![mistake.way_out("name those that are meant")])
            }
            text => self.place(element, text),
        })?;
        Ok(places.into_iter().flatten().collect())
    }

    /// Reads places but for others.
    pub(super) fn selection(&self, value: &Value<'_>) -> Read<Selection<Place>> {
        selection(value, "a place", |element, text| self.place(element, text))
    }

    /// Reads a place, which may be several networks.
    pub(super) fn place(&self, value: &Value<'_>, text: &str) -> Read<Vec<Place>> {
        match text {
            ANY => return Ok(vec![Place::Any]),
            OWN => return Ok(vec![Place::Own]),
            ON_LINK => return Ok(vec![Place::OnLink]),
            _ => {}
        }
        if let Some(networks) = self.networks.get(text) {
            return Ok(networks.iter().copied().map(Place::Network).collect());
        }
        if network::parse(text).is_err() && is_name(text) {
            return Err(vec![self.unknown(value, text)]);
        }
        Ok(vec![Place::Network(self.network(value, text)?)])
    }

    fn network(&self, value: &Value<'_>, text: &str) -> Read<Network> {
        let network = network::parse(text).map_err(|message| complain(value, message))?;
        self.written.borrow_mut().push(Written { network, span: value.span() });
        Ok(network)
    }

    /// Lists every network that was read.
    pub(super) fn into_written(self) -> Vec<Written> {
        self.written.into_inner()
    }

    fn unknown(&self, value: &Value<'_>, name: &str) -> Mistake {
        let known = WORDS.into_iter().chain(self.networks.keys().map(String::as_str));
        let way_out = did_you_mean(name, known)
            .unwrap_or_else(|| "add it to [hosts], or write its address".to_owned());
        Mistake::new(value.span(), format!("unknown host \"{name}\"")).way_out(way_out)
    }
}

/// Refuses a name that could not be told from another place.
fn refuse(name: &str, span: Span) -> Option<Mistake> {
    let is_taken = WORDS.contains(&name) || network::parse(name).is_ok() || name.starts_with('!');
    let message = format!("`{name}` has a meaning of its own");
    is_taken.then(|| Mistake::new(span, message).way_out("choose another name"))
}

/// Tells a misspelt name from a misspelt address.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic()) && !text.contains(['/', ':'])
}
