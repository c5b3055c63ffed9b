//! What a client is asked to fetch: `https://HOST:PORT/FILE`. RFC 3986 §3, as much of it as the interop
//! runner uses.

use std::fmt;
use std::str::FromStr;

/// A file of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The UDP port.
    pub(crate) port: u16,
    /// Name of the file, without `/`.
    pub(crate) file: String,
}

impl Request {
    /// HTTP/0.9: the method, the path, the end of the line.
    pub(super) fn line(&self) -> String {
        format!("GET /{}\r\n", self.file)
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not https://HOST:PORT/FILE: {text}");
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let (authority, file) = rest.split_once('/').ok_or_else(wrong)?;
        let bracketed = authority
            .strip_prefix('[')
            .and_then(|it| it.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.map_or(Ok(443), str::parse).map_err(|_| wrong())?;
        // It becomes the name of a file here.
        let is_name = !matches!(file, "" | "." | "..") && !file.contains(['/', '\\', '\0']);
        if host.is_empty() || !is_name {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            file: file.to_owned(),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}/{}", self.host, self.port, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_file_are_told_apart() {
        let parse = |text: &str| text.parse::<Request>();
        let request = parse("https://server4:443/three-words").unwrap();
        assert_eq!((request.host.as_str(), request.port), ("server4", 443));
        assert_eq!(request.line(), "GET /three-words\r\n");
        let request = parse("https://[::1]:4433/x").unwrap();
        assert_eq!((request.host.as_str(), request.port), ("::1", 4433));
        assert_eq!(parse("https://h/x").unwrap().port, 443);
    }

    #[test]
    fn what_would_leave_the_folder_is_refused() {
        for text in [
            "http://h/x",
            "https://h",
            "https://h/",
            "https://h/..",
            "https://h/a/../b",
            "https://h/a\\b",
            "https:///x",
            "https://h:70000/x",
        ] {
            assert!(text.parse::<Request>().is_err(), "{text}");
        }
    }
}
