//! Tokens that a peer has registered under aliases (draft §10.2.2, §10.3.1.3): where a message names one,
//! its owner sees the token itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Session;
use crate::limits;
use crate::moqt::{CloseCode, Message, MoqtError, Token};

/// The registered tokens of one peer.
#[derive(Debug)]
pub(super) struct TokenCache {
    /// What we have said in SETUP.
    limit: u64,
    used: u64,
    tokens: HashMap<u64, (u64, Vec<u8>)>,
}

impl TokenCache {
    /// Of so many bytes; draft §10.3.1.3: none, when nothing is said.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            limit: limit.unwrap_or(0),
            used: 0,
            tokens: HashMap::new(),
        }
    }

    /// Those of SETUP: what finds no room is used once, and that is no error (draft §10.3.1.4).
    pub(super) fn take_from_setup(&mut self, tokens: &mut [Token]) -> Result<(), MoqtError> {
        for token in tokens {
            let Token::Register { alias, kind, value } = token else {
                continue;
            };
            if self.has_room(value) {
                self.register(*alias, *kind, value)?;
            }
            let (kind, value) = (*kind, core::mem::take(value));
            *token = Token::UseValue { kind, value };
        }
        Ok(())
    }

    /// Does what the tokens of a message say, and leaves those that authorize it, by value.
    fn resolve(&mut self, tokens: &mut Vec<Token>) -> Result<(), MoqtError> {
        for token in core::mem::take(tokens) {
            // One too many says that there were; an alias of a few bytes may stand for thousands.
            let is_enough = tokens.len() > limits::MESSAGE_TOKENS;
            let value = self.resolve_one(token, is_enough)?;
            tokens.extend(value.filter(|_| !is_enough));
        }
        Ok(())
    }

    /// The token itself; none for one that is deleted, or that nobody will look at.
    fn resolve_one(&mut self, token: Token, is_enough: bool) -> Result<Option<Token>, MoqtError> {
        match token {
            Token::UseValue { .. } => Ok(Some(token)),
            Token::Register { alias, kind, value } => {
                self.register(alias, kind, &value)?;
                Ok(Some(Token::UseValue { kind, value }))
            }
            Token::UseAlias { alias } => {
                let (kind, value) = self.tokens.get(&alias).ok_or(UNKNOWN)?;
                Ok((!is_enough).then(|| Token::UseValue {
                    kind: *kind,
                    value: value.clone(),
                }))
            }
            Token::Delete { alias } => {
                let (_, value) = self.tokens.remove(&alias).ok_or(UNKNOWN)?;
                self.used = self.used.saturating_sub(size(&value));
                Ok(None)
            }
        }
    }

    fn has_room(&self, value: &[u8]) -> bool {
        self.used.saturating_add(size(value)) <= self.limit
    }

    fn register(&mut self, alias: u64, kind: u64, value: &[u8]) -> Result<(), MoqtError> {
        let has_room = self.has_room(value);
        match self.tokens.entry(alias) {
            Entry::Occupied(_) => Err(MoqtError::new(
                CloseCode::DUPLICATE_AUTH_TOKEN_ALIAS,
                "token alias in use",
            )),
            Entry::Vacant(_) if !has_room => Err(MoqtError::new(
                CloseCode::AUTH_TOKEN_CACHE_OVERFLOW,
                "no room for tokens",
            )),
            Entry::Vacant(entry) => {
                self.used = self.used.saturating_add(size(value));
                entry.insert((kind, value.to_vec()));
                Ok(())
            }
        }
    }
}

impl Session {
    /// Draft §10.2.2: a token is registered or forgotten whatever becomes of its message.
    pub(super) fn resolve_tokens(&mut self, message: &mut Message) -> Result<(), MoqtError> {
        match message.parameters_mut() {
            Some(parameters) => self.tokens.resolve(&mut parameters.authorization_tokens),
            None => Ok(()),
        }
    }
}

/// What a token takes of the limit (draft §10.3.1.3).
fn size(value: &[u8]) -> u64 {
    16u64.saturating_add(value.len() as u64)
}

const UNKNOWN: MoqtError = MoqtError::new(CloseCode::UNKNOWN_AUTH_TOKEN_ALIAS, "no such token");

#[cfg(test)]
mod tests {
    use super::*;

    fn register(alias: u64, len: usize) -> Token {
        let (kind, value) = (0, vec![b'x'; len]);
        Token::Register { alias, kind, value }
    }

    fn value(len: usize) -> Token {
        let (kind, value) = (0, vec![b'x'; len]);
        Token::UseValue { kind, value }
    }

    fn resolve(cache: &mut TokenCache, tokens: &[Token]) -> Result<Vec<Token>, CloseCode> {
        let mut tokens = tokens.to_vec();
        let resolved = cache.resolve(&mut tokens);
        resolved.map(|()| tokens).map_err(|error| error.code())
    }

    #[test]
    fn an_alias_stands_for_its_token_until_it_is_deleted() {
        let mut cache = TokenCache::new(Some(100));
        assert_eq!(resolve(&mut cache, &[register(7, 10)]), Ok(vec![value(10)]));
        let used = [Token::UseAlias { alias: 7 }, value(3)];
        assert_eq!(resolve(&mut cache, &used), Ok(vec![value(10), value(3)]));
        assert_eq!(
            resolve(&mut cache, &[register(7, 10)]),
            Err(CloseCode::DUPLICATE_AUTH_TOKEN_ALIAS)
        );
        let gone = Token::Delete { alias: 7 };
        assert_eq!(
            resolve(&mut cache, core::slice::from_ref(&gone)),
            Ok(vec![])
        );
        for gone in [gone, Token::UseAlias { alias: 7 }] {
            let unknown = Err(CloseCode::UNKNOWN_AUTH_TOKEN_ALIAS);
            assert_eq!(resolve(&mut cache, &[gone]), unknown);
        }
        assert_eq!(cache.used, 0);
    }

    #[test]
    fn the_limit_counts_sixteen_bytes_beside_each_token() {
        let mut cache = TokenCache::new(Some(52));
        assert!(resolve(&mut cache, &[register(1, 10), register(2, 10)]).is_ok());
        let over = Err(CloseCode::AUTH_TOKEN_CACHE_OVERFLOW);
        assert_eq!(resolve(&mut cache, &[register(3, 0)]), over);
        assert!(resolve(&mut cache, &[Token::Delete { alias: 1 }]).is_ok());
        assert!(resolve(&mut cache, &[register(3, 10)]).is_ok());
        let mut none = TokenCache::new(None);
        assert_eq!(resolve(&mut none, &[register(1, 0)]), over);
    }

    #[test]
    fn one_token_too_many_is_told_and_no_more() {
        let mut cache = TokenCache::new(Some(100));
        assert!(resolve(&mut cache, &[register(7, 10)]).is_ok());
        let many = vec![Token::UseAlias { alias: 7 }; 1000];
        let used = resolve(&mut cache, &many).map(|used| used.len());
        assert_eq!(used, Ok(limits::MESSAGE_TOKENS + 1));
    }

    #[test]
    fn what_setup_registers_without_room_is_used_once() {
        let mut cache = TokenCache::new(Some(26));
        let mut tokens = [register(1, 10), register(2, 10)];
        assert!(cache.take_from_setup(&mut tokens).is_ok());
        assert_eq!(tokens, [value(10), value(10)]);
        assert!(resolve(&mut cache, &[Token::UseAlias { alias: 1 }]).is_ok());
        assert!(resolve(&mut cache, &[Token::UseAlias { alias: 2 }]).is_err());
        let mut twice = [register(1, 0)];
        assert!(TokenCache::new(Some(0)).take_from_setup(&mut twice).is_ok());
    }
}
