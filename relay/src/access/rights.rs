//! What one peer may do: the tokens it has shown, and what they grant. MOQT draft §10.2.2.

use std::collections::HashMap;
use std::sync::Arc;

use quic_lite::Time;
use sha2::{Digest, Sha256};

use super::claims::Grant;
use super::{Access, Action, Denied, in_time};
use crate::limits;
use crate::moqt::{Namespace, Token};
use crate::session::RequestId;

/// The rights of one peer.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// From SETUP and the URL: they count for everything.
    session: Vec<Arc<Grant>>,
    /// From a request: they count for it alone.
    own: HashMap<RequestId, Vec<Arc<Grant>>>,
    /// Tokens that were checked once, by their hash: a signature costs more than the whole request.
    known: HashMap<[u8; 32], Arc<Grant>>,
    /// How many tokens were refused.
    refused: u32,
    /// Whether a refusal was told of.
    is_told: bool,
    /// Since when it has none at all.
    pub(crate) bare_since: Option<Time>,
}

impl Rights {
    /// What a peer has that needs no token.
    pub(crate) fn of(grant: Grant) -> Self {
        Self {
            session: vec![Arc::new(grant)],
            ..Self::default()
        }
    }

    /// The grants of tokens that came together; all must be good, and none may be there twice.
    pub(crate) fn check(
        &mut self,
        access: &Access,
        unix: u64,
        tokens: &[&[u8]],
    ) -> Result<Vec<Arc<Grant>>, Denied> {
        if tokens.len() > limits::MESSAGE_TOKENS {
            return Err(Denied::Malformed);
        }
        let mut grants = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let is_twice = tokens.iter().take(at).any(|other| other == token);
            let checked = match is_twice {
                true => Err(Denied::Malformed),
                false => self.check_one(access, unix, token),
            };
            self.refused += u32::from(checked.is_err());
            grants.push(checked?);
        }
        Ok(grants)
    }

    fn check_one(
        &mut self,
        access: &Access,
        unix: u64,
        token: &[u8],
    ) -> Result<Arc<Grant>, Denied> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(grant) = self.known.get(&hash) {
            return in_time(grant, unix).map(|()| grant.clone());
        }
        let grant = Arc::new(access.check(token, unix)?);
        if self.known.len() >= limits::KNOWN_TOKENS {
            self.known.retain(|_, grant| !grant.is_over(unix));
        }
        if self.known.len() >= limits::KNOWN_TOKENS {
            return Err(Denied::TooMany);
        }
        self.known.insert(hash, grant.clone());
        Ok(grant)
    }

    /// Tokens that count for all of the session.
    pub(crate) fn add(&mut self, grants: Vec<Arc<Grant>>) {
        self.session.extend(grants);
    }

    /// Tokens that count for one request.
    pub(crate) fn add_to(&mut self, request: RequestId, grants: Vec<Arc<Grant>>) {
        for grant in grants {
            let own = self.own.entry(request).or_default();
            if !own.contains(&grant) {
                own.push(grant);
            }
        }
    }

    /// Until when this is allowed, with what a request has brought itself and `more`; `None`: not at all.
    pub(crate) fn until(
        &self,
        unix: u64,
        (action, name): (Action, &Namespace),
        request: RequestId,
        more: &[Arc<Grant>],
    ) -> Option<u64> {
        let own = self.own.get(&request).into_iter().flatten();
        let all = self.session.iter().chain(own).chain(more);
        all.filter_map(|grant| grant.until(action, name, unix))
            .max()
    }

    /// Forgets what is over, and what requests have brought that are not there any more.
    pub(crate) fn prune(&mut self, unix: u64, is_open: impl Fn(RequestId) -> bool) {
        let lives = |grant: &Arc<Grant>| !grant.is_over(unix);
        self.session.retain(lives);
        self.own.retain(|request, grants| {
            grants.retain(lives);
            !grants.is_empty() && is_open(*request)
        });
    }

    /// How many requests have brought tokens.
    pub(crate) fn requests(&self) -> usize {
        self.own.len()
    }

    /// Whether it ever had one.
    pub(crate) fn had_some(&self) -> bool {
        !self.known.is_empty()
    }

    /// When the next of them is over.
    pub(crate) fn next_end(&self) -> Option<u64> {
        let all = self.session.iter().chain(self.own.values().flatten());
        all.map(|grant| grant.ends()).min()
    }

    /// Whether nothing was refused yet; from now on something was.
    pub(crate) const fn is_first_refusal(&mut self) -> bool {
        !core::mem::replace(&mut self.is_told, true)
    }

    /// Whether it has shown so many bad tokens that it had better go: each costs us a signature.
    pub(crate) const fn is_guessing(&self) -> bool {
        self.refused >= limits::REFUSED_TOKENS
    }
}

/// The values of the tokens that are for us: draft §10.2.2, type 0, "negotiated out-of-band", is a JWT
/// here; other types are for others.
pub(crate) fn token_values(tokens: &[Token]) -> Vec<&[u8]> {
    let ours = |token: &&Token| token.kind() == Some(JWT);
    tokens
        .iter()
        .filter(ours)
        .filter_map(Token::value)
        .collect()
}

/// The token type of a JWT.
pub(crate) const JWT: u64 = 0;
