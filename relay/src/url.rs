//! `moqt://HOST[:PORT][/PATH][?QUERY]`: where a relay is (draft-ietf-moq-transport-18 §3.1, the moqt URI
//! scheme; RFC 3986 for its parts).
//!
//! A `RelayUrl` that exists is valid. The host is a name, an IPv4 address or an IPv6 address in
//! brackets; it becomes the TLS server name. Nothing here resolves names: `authority` and `host`
//! are text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The address of a MOQT server over raw QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayUrl {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is not a [`RelayUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not start with `moqt://`.
    Scheme,
    /// There is nothing between `//` and the port or the path.
    NoHost,
    /// `user@` has no meaning here.
    UserInfo,
    /// The host has characters that neither a name nor an address has.
    Host,
    /// `[...]` does not hold an IPv6 address.
    Ipv6,
    /// The port is not a number from 1 to 65535.
    Port,
    /// `#...` names something inside a resource; a connection has no such thing.
    Fragment,
}

impl RelayUrl {
    /// Host name or address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as written, empty or starting with `/` or `?`: the PATH setup option.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host:port` with brackets around IPv6: the AUTHORITY setup option.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for RelayUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let scheme = text.get(..SCHEME.len()).ok_or(UrlError::Scheme)?;
        // RFC 3986 §3.1: the scheme is case-insensitive.
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UrlError::Scheme);
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => DEFAULT_PORT,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.authority())?;
        // A token in a URL is for the relay, not for logs and error messages.
        let mut rest = self.path.as_str();
        while let Some(at) = rest.find(TOKEN) {
            let (before, token) = rest.split_at(at + TOKEN.len());
            write!(f, "{before}...")?;
            rest = &token[token.find('&').unwrap_or(token.len())..];
        }
        f.write_str(rest)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Scheme => "it does not start with moqt://",
            Self::NoHost => "it has no host",
            Self::UserInfo => "it has a user name",
            Self::Host => "its host has characters that no host name has",
            Self::Ipv6 => "the brackets hold no IPv6 address",
            Self::Port => "its port is not a number from 1 to 65535",
            Self::Fragment => "it has a fragment (#)",
        };
        write!(
            f,
            "{what}; write moqt://HOST:PORT, as in moqt://localhost:4443"
        )
    }
}

impl std::error::Error for UrlError {}

fn split_authority(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(UrlError::Ipv6)?;
        match address.parse() {
            Ok(IpAddr::V6(_)) => {}
            _ => return Err(UrlError::Ipv6),
        }
        return match port {
            "" => Ok((address, None)),
            _ => Ok((address, Some(port.strip_prefix(':').ok_or(UrlError::Port)?))),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !host.chars().all(is_name) {
        return Err(UrlError::Host);
    }
    Ok((host, port))
}

fn parse_port(digits: &str) -> Result<u16, UrlError> {
    // `u16::from_str` takes a leading `+`, a URL does not.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(UrlError::Port),
        Ok(port) => Ok(port),
    }
}

const SCHEME: &str = "moqt://";

/// What stands before a token in a query.
const TOKEN: &str = "jwt=";

/// draft-18 §3.1.2: the port when the URI has none.
const DEFAULT_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, u16, String), UrlError> {
        let url: RelayUrl = text.parse()?;
        Ok((url.host().into(), url.port(), url.path().into()))
    }

    #[test]
    fn name_port_and_path_are_taken_apart() {
        let (host, port, path) = ("relay.example".into(), 4443, "/app?jwt=x".into());
        assert_eq!(
            parse("moqt://relay.example:4443/app?jwt=x"),
            Ok((host, port, path))
        );
    }

    #[test]
    fn port_defaults_to_443() {
        assert_eq!(parse("moqt://a"), Ok(("a".into(), 443, String::new())));
        assert_eq!(parse("MOQT://a?b"), Ok(("a".into(), 443, "?b".into())));
    }

    #[test]
    fn ipv6_address_stands_in_brackets() {
        assert_eq!(
            parse("moqt://[::1]:4443"),
            Ok(("::1".into(), 4443, String::new()))
        );
        assert_eq!(
            parse("moqt://[fe80::1]/x"),
            Ok(("fe80::1".into(), 443, "/x".into()))
        );
        let url: RelayUrl = "moqt://[::1]:4443".parse().unwrap();
        assert_eq!(url.authority(), "[::1]:4443");
    }

    #[test]
    fn display_is_a_url_that_parses_to_the_same() {
        for text in [
            "moqt://[::1]:4443/a",
            "moqt://127.0.0.1:1",
            "moqt://h:9?x=y",
        ] {
            let url: RelayUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        let shown = |text: &str| text.parse::<RelayUrl>().unwrap().to_string();
        assert_eq!(shown("moqt://h:1/a?jwt=x.y.z"), "moqt://h:1/a?jwt=...");
        assert_eq!(
            shown("moqt://h:1?jwt=x&b=c&jwt=y"),
            "moqt://h:1?jwt=...&b=c&jwt=..."
        );
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        let cases = [
            ("http://a:1", UrlError::Scheme),
            ("moqt", UrlError::Scheme),
            ("moqt:/é", UrlError::Scheme),
            ("moqt://", UrlError::NoHost),
            ("moqt://:4443", UrlError::NoHost),
            ("moqt://u@a:1", UrlError::UserInfo),
            ("moqt://a b:1", UrlError::Host),
            ("moqt://[1.2.3.4]:1", UrlError::Ipv6),
            ("moqt://[::1:4443", UrlError::Ipv6),
            ("moqt://::1:4443", UrlError::NoHost),
            ("moqt://a:", UrlError::Port),
            ("moqt://a:0", UrlError::Port),
            ("moqt://a:+1", UrlError::Port),
            ("moqt://a:65536", UrlError::Port),
            ("moqt://[::1]4443", UrlError::Port),
            ("moqt://a:1/#x", UrlError::Fragment),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
