//! Address validation tokens over time (RFC 9000 §8.1.3): what a server must not take twice, and what a
//! client keeps for its next visit.
//!
//! Promise: both are bounded; forgetting the oldest costs one client a Retry at most.

use crate::limits;
use std::collections::{BTreeSet, VecDeque};

/// NEW_TOKEN tokens that were used, as many as fit; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct UsedTokens {
    tags: BTreeSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl UsedTokens {
    /// False when the token was used before. It must be one that opened: then its tag names it.
    pub(super) fn insert(&mut self, token: &[u8]) -> bool {
        let tag = token.last_chunk().copied().unwrap_or_default();
        if !self.tags.insert(tag) {
            return false;
        }
        self.order.push_back(tag);
        if self.order.len() > limits::USED_TOKENS {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.tags.remove(&oldest));
        }
        true
    }
}

/// The latest token of each server a client has visited.
#[derive(Debug, Default)]
pub(super) struct ServerTokens(VecDeque<(String, Vec<u8>)>);

impl ServerTokens {
    /// Keeps a token for the next connection to `server_name`.
    pub(super) fn put(&mut self, server_name: &str, token: Vec<u8>) {
        self.take(server_name);
        if self.0.len() >= limits::SERVER_TOKENS {
            self.0.pop_front();
        }
        self.0.push_back((server_name.to_owned(), token));
    }

    /// RFC 9000 §8.1.3: a token used twice would link the two connections.
    pub(super) fn take(&mut self, server_name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(name, _)| name == server_name)?;
        self.0.remove(at).map(|(_, token)| token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_token_is_given_once_and_the_latest_counts() {
        let mut tokens = ServerTokens::default();
        tokens.put("a", vec![1]);
        tokens.put("b", vec![2]);
        tokens.put("a", vec![3]);
        assert_eq!(tokens.take("a"), Some(vec![3]));
        assert_eq!(tokens.take("a"), None);
        (0..1000).for_each(|number| tokens.put(&number.to_string(), vec![]));
        assert_eq!(tokens.0.len(), limits::SERVER_TOKENS);
    }

    #[test]
    fn used_tokens_are_remembered_up_to_a_bound() {
        let mut used = UsedTokens::default();
        let token = |number: u32| [&[0; 30], &number.to_be_bytes()[..]].concat();
        assert!(used.insert(&token(1)));
        assert!(!used.insert(&token(1)));
        (2..10_000).for_each(|number| assert!(used.insert(&token(number))));
        assert_eq!(
            (used.tags.len(), used.order.len()),
            (limits::USED_TOKENS, limits::USED_TOKENS)
        );
    }
}
