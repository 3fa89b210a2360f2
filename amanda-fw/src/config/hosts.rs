//! Names of hosts, and the places that a configuration names with them.

use std::collections::BTreeMap;

use amanda_fw_common::addr::Network;

use super::mistake::Mistake;
use super::network;
use super::scalar::{complain, text};
use super::section::{Read, Value, did_you_mean, list, table};

/// Words that stand for places, and so name no host.
const ANY: &str = "any";
const OWN: &str = "self";
const ON_LINK: &str = "on-link";

/// Hosts or networks that packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Everywhere.
    Any,
    /// The addresses of the machine itself.
    Own,
    /// The networks that the machine is connected to.
    OnLink,
    /// One network or address.
    Network(Network),
}

/// The hosts that the configuration gives a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    networks: BTreeMap<String, Vec<Network>>,
}

impl Hosts {
    /// Reads `[hosts]`; a name stays known when its addresses are wrong, so that it is complained
    /// about once.
    pub(super) fn read(&mut self, value: &Value<'_>) -> Read<()> {
        let mut mistakes = Vec::new();
        for (name, addresses) in table(value)? {
            let networks = list(addresses, address).unwrap_or_else(|found| {
                mistakes.extend(found);
                Vec::new()
            });
            let text = name.get_ref().to_string();
            if [ANY, OWN, ON_LINK].contains(&text.as_str()) || network::parse(&text).is_ok() {
                let message = format!("`{text}` has a meaning of its own");
                mistakes.push(Mistake::new(name.span(), message).way_out("choose another name"));
            }
            self.networks.insert(text, networks);
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Reads a list of places, or one place.
    pub(super) fn places(&self, value: &Value<'_>) -> Read<Vec<Place>> {
        let places = list(value, |element| self.place(element))?;
        Ok(places.into_iter().flatten().collect())
    }

    fn place(&self, value: &Value<'_>) -> Read<Vec<Place>> {
        let text = text(value)?;
        match text {
            ANY => return Ok(vec![Place::Any]),
            OWN => return Ok(vec![Place::Own]),
            ON_LINK => return Ok(vec![Place::OnLink]),
            _ => {}
        }
        if let Some(networks) = self.networks.get(text) {
            return Ok(networks.iter().copied().map(Place::Network).collect());
        }
        match network::parse(text) {
            Ok(network) => Ok(vec![Place::Network(network)]),
            Err(_) if is_name(text) => Err(vec![self.unknown(value, text)]),
            Err(message) => Err(complain(value, message)),
        }
    }

    fn unknown(&self, value: &Value<'_>, name: &str) -> Mistake {
        let words = [ANY, OWN, ON_LINK].into_iter();
        let way_out = did_you_mean(name, words.chain(self.networks.keys().map(String::as_str)));
        Mistake::new(value.span(), format!("unknown host \"{name}\"")).way_out(
            way_out.unwrap_or_else(|| "add it to [hosts], or write its address".to_owned()),
        )
    }
}

/// Tells a misspelt name from a misspelt address.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic()) && !text.contains(['/', ':'])
}

fn address(value: &Value<'_>) -> Read<Network> {
    network::parse(text(value)?).map_err(|message| complain(value, message))
}
