//! Authorization tokens (draft §10.2.2).

use super::varint::{put, vi64};
use super::{CloseCode, MoqtError};

/// A token as a parameter or setup option carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Forget a registered token.
    Delete {
        /// Its alias.
        alias: u64,
    },
    /// Remember a token under an alias.
    Register {
        /// The alias.
        alias: u64,
        /// What kind of token.
        kind: u64,
        /// The token.
        value: Vec<u8>,
    },
    /// Use a registered token.
    UseAlias {
        /// Its alias.
        alias: u64,
    },
    /// Use this token, once.
    UseValue {
        /// What kind of token.
        kind: u64,
        /// The token.
        value: Vec<u8>,
    },
}

impl Token {
    /// Parses a token that fills `bytes`.
    pub fn parse_all(bytes: &[u8]) -> Result<Self, MoqtError> {
        let malformed =
            |_| MoqtError::new(CloseCode::KEY_VALUE_FORMATTING_ERROR, "malformed token");
        let int = |i| vi64(i).map_err(malformed);
        let (i, alias_type) = int(bytes)?;
        let (rest, token) = match alias_type {
            0 => {
                let (i, alias) = int(i)?;
                (i, Self::Delete { alias })
            }
            1 => {
                let (i, alias) = int(i)?;
                let (i, kind) = int(i)?;
                (
                    &[][..],
                    Self::Register {
                        alias,
                        kind,
                        value: i.to_vec(),
                    },
                )
            }
            2 => {
                let (i, alias) = int(i)?;
                (i, Self::UseAlias { alias })
            }
            3 => {
                let (i, kind) = int(i)?;
                (
                    &[][..],
                    Self::UseValue {
                        kind,
                        value: i.to_vec(),
                    },
                )
            }
            _ => {
                return Err(MoqtError::new(
                    CloseCode::KEY_VALUE_FORMATTING_ERROR,
                    "unknown token alias type",
                ));
            }
        };
        if !rest.is_empty() {
            return Err(MoqtError::new(
                CloseCode::KEY_VALUE_FORMATTING_ERROR,
                "bytes after a token",
            ));
        }
        Ok(token)
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Delete { alias } => {
                put(out, 0);
                put(out, *alias);
            }
            Self::Register { alias, kind, value } => {
                put(out, 1);
                put(out, *alias);
                put(out, *kind);
                out.extend_from_slice(value);
            }
            Self::UseAlias { alias } => {
                put(out, 2);
                put(out, *alias);
            }
            Self::UseValue { kind, value } => {
                put(out, 3);
                put(out, *kind);
                out.extend_from_slice(value);
            }
        }
    }

    /// What kind of token, when it came along. Type 0 is a JWT here (draft §10.2.2: no table says so).
    pub const fn kind(&self) -> Option<u64> {
        match self {
            Self::Register { kind, .. } | Self::UseValue { kind, .. } => Some(*kind),
            Self::Delete { .. } | Self::UseAlias { .. } => None,
        }
    }

    /// The token itself, when it came along.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Register { value, .. } | Self::UseValue { value, .. } => Some(value),
            Self::Delete { .. } | Self::UseAlias { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_round_trips() {
        for (token, bytes) in [
            (Token::Delete { alias: 1 }, &[0, 1][..]),
            (
                Token::Register {
                    alias: 1,
                    kind: 2,
                    value: b"t".to_vec(),
                },
                &[1, 1, 2, b't'],
            ),
            (Token::UseAlias { alias: 9 }, &[2, 9]),
            (
                Token::UseValue {
                    kind: 0,
                    value: b"jwt".to_vec(),
                },
                &[3, 0, b'j', b'w', b't'],
            ),
        ] {
            let mut out = Vec::new();
            token.encode(&mut out);
            assert_eq!(out, bytes);
            assert_eq!(Token::parse_all(bytes), Ok(token));
        }
    }

    #[test]
    fn an_undecodable_token_is_a_formatting_error() {
        for bytes in [&[][..], &[4], &[1, 1], &[0, 1, 2]] {
            let error = Token::parse_all(bytes).expect_err("malformed");
            assert_eq!(error.code(), CloseCode::KEY_VALUE_FORMATTING_ERROR);
        }
    }
}
