//! The command line of the peers: words and `name=value`, and lines on standard input while they run. No RFC.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Failure;

/// `ROLE ADDRESS [NAME=VALUE]...`
#[derive(Debug)]
pub struct Options {
    /// What to be.
    pub role: String,
    /// Where the relay is.
    pub relay: SocketAddr,
    values: BTreeMap<String, u64>,
}

impl Options {
    /// From the words behind the program's name; `known` are the names that mean something.
    pub fn parse(words: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, Failure> {
        let words: Vec<String> = words.collect();
        let [role, relay, rest @ ..] = words.as_slice() else {
            return Err(format!("usage: ROLE ADDRESS [NAME=VALUE]..., names: {}", known.join(", ")).into());
        };
        let mut values = BTreeMap::new();
        for word in rest {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}: not NAME=VALUE"))?;
            if !known.contains(&name) {
                return Err(format!("{name}: not one of {}", known.join(", ")).into());
            }
            values.insert(name.to_owned(), value.parse()?);
        }
        Ok(Self { role: role.clone(), relay: relay.parse()?, values })
    }

    /// A value, or what it is by default.
    pub fn get(&self, name: &str, default: u64) -> u64 {
        self.values.get(name).copied().unwrap_or(default)
    }
}

/// What a line on standard input asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Begin to send.
    Go,
    /// Go on from another port; zero: any.
    Rebind(u16),
    /// Close the connection and end.
    Leave,
}

impl Order {
    /// `go`, `rebind PORT`, and anything else, as is the end of input, to leave.
    pub fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        match (words.next(), words.next().and_then(|word| word.parse().ok())) {
            (Some("go"), _) => Self::Go,
            (Some("rebind"), port) => Self::Rebind(port.unwrap_or(0)),
            _ => Self::Leave,
        }
    }
}
