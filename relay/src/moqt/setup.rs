//! SETUP (draft §10.3): the options each side announces. Unknown ones are ignored.

use super::key_value::{PairWriter, Value, pairs};
use super::{CloseCode, MoqtError, Token};

/// The options of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The path and query of the URI; clients only.
    pub path: Option<Vec<u8>>,
    /// Tokens that authorize the session.
    pub authorization_tokens: Vec<Token>,
    /// How many bytes of registered tokens the sender keeps.
    pub max_auth_token_cache_size: Option<u64>,
    /// The authority of the URI; clients only.
    pub authority: Option<Vec<u8>>,
    /// Name and version of the sender.
    pub implementation: Option<Vec<u8>>,
}

const PATH: u64 = 0x01;
const AUTHORIZATION_TOKEN: u64 = 0x03;
const MAX_AUTH_TOKEN_CACHE_SIZE: u64 = 0x04;
const AUTHORITY: u64 = 0x05;
const IMPLEMENTATION: u64 = 0x07;

impl Setup {
    /// Parses options that fill the message.
    pub fn parse_all(body: &[u8]) -> Result<Self, MoqtError> {
        let mut setup = Self::default();
        for pair in pairs(body) {
            match pair? {
                (PATH, Value::Bytes(value)) => once(&mut setup.path, value.to_vec())?,
                (AUTHORIZATION_TOKEN, Value::Bytes(value)) => {
                    setup.authorization_tokens.push(setup_token(value)?);
                }
                (MAX_AUTH_TOKEN_CACHE_SIZE, Value::Int(value)) => {
                    once(&mut setup.max_auth_token_cache_size, value)?;
                }
                (AUTHORITY, Value::Bytes(value)) => once(&mut setup.authority, value.to_vec())?,
                (IMPLEMENTATION, Value::Bytes(value)) => {
                    once(&mut setup.implementation, value.to_vec())?
                }
                // Draft §10.3: unknown options are ignored, repeated or not.
                _ => {}
            }
        }
        Ok(setup)
    }

    /// Appends the options.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = PairWriter::new(out);
        if let Some(path) = &self.path {
            writer.bytes(PATH, path);
        }
        for token in &self.authorization_tokens {
            let mut value = Vec::new();
            token.encode(&mut value);
            writer.bytes(AUTHORIZATION_TOKEN, &value);
        }
        if let Some(size) = self.max_auth_token_cache_size {
            writer.int(MAX_AUTH_TOKEN_CACHE_SIZE, size);
        }
        if let Some(authority) = &self.authority {
            writer.bytes(AUTHORITY, authority);
        }
        if let Some(implementation) = &self.implementation {
            writer.bytes(IMPLEMENTATION, implementation);
        }
    }

    /// The path without its query and without a slash at the end: what separates one scope of
    /// names from another (draft §2.4.4).
    pub fn scope(&self) -> &[u8] {
        let path = self.path.as_deref().unwrap_or_default();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        path.strip_suffix(b"/").unwrap_or(path)
    }

    /// The tokens in the query of the path: `?jwt=TOKEN`.
    pub fn path_tokens(&self) -> impl Iterator<Item = &[u8]> {
        let path = self.path.as_deref().unwrap_or_default();
        let query = path.splitn(2, |byte| *byte == b'?').nth(1);
        let pairs = query.unwrap_or_default().split(|byte| *byte == b'&');
        pairs.filter_map(|pair| pair.strip_prefix(b"jwt="))
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), MoqtError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(MoqtError::violation("repeated setup option")),
    }
}

fn setup_token(value: &[u8]) -> Result<Token, MoqtError> {
    match Token::parse_all(value)? {
        // Draft §10.2.2: nothing can be registered yet that SETUP could refer to.
        Token::Delete { .. } | Token::UseAlias { .. } => Err(MoqtError::new(
            CloseCode::PROTOCOL_VIOLATION,
            "token alias in SETUP",
        )),
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_round_trip() {
        let setup = Setup {
            path: Some(b"/live?jwt=x".to_vec()),
            authorization_tokens: vec![Token::UseValue {
                kind: 0,
                value: b"t".to_vec(),
            }],
            max_auth_token_cache_size: Some(0),
            authority: Some(b"h:1".to_vec()),
            implementation: Some(b"q".to_vec()),
        };
        let mut out = Vec::new();
        setup.encode(&mut out);
        assert_eq!(&out[..3], [1, 11, b'/']);
        assert_eq!(Setup::parse_all(&out), Ok(setup));
    }

    #[test]
    fn the_options_other_stacks_send_are_skipped() {
        let mut out = Vec::new();
        let mut writer = PairWriter::new(&mut out);
        writer.int(0x40b54, 9);
        writer.int(0x40b5a, 1);
        writer.int(0x40b5a, 1);
        writer.bytes(0x40b5d, b"x");
        assert_eq!(Setup::parse_all(&out), Ok(Setup::default()));
    }

    #[test]
    fn the_scope_is_the_path_alone() {
        let scope = |path: &str| {
            Setup {
                path: Some(path.into()),
                ..Setup::default()
            }
            .scope()
            .to_vec()
        };
        assert_eq!(scope("/live?jwt=x"), b"/live");
        assert_eq!(scope("/live/"), b"/live");
        assert_eq!(scope("/"), b"");
        assert_eq!(Setup::default().scope(), b"");
    }

    #[test]
    fn tokens_stand_in_the_query() {
        let tokens = |path: &str| {
            let setup = Setup {
                path: Some(path.into()),
                ..Setup::default()
            };
            setup.path_tokens().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(tokens("/live?a=b&jwt=x.y.z&jwt=?"), [&b"x.y.z"[..], b"?"]);
        assert_eq!(tokens("?jwt="), [b""]);
        assert!(tokens("/jwt=x").is_empty() && tokens("/?njwt=x").is_empty());
    }

    #[test]
    fn repeated_options_and_aliases_are_refused() {
        assert!(Setup::parse_all(&[1, 0, 0, 0]).is_err());
        assert!(Setup::parse_all(&[3, 2, 2, 1]).is_err());
    }
}
