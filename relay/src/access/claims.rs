//! What a token says (RFC 7519 §4), in the words of moq-dev's `moq-token`: `root`, `put`, `get`.
//!
//! Paths are prefixes, and a prefix ends where a field ends: `live/a` holds `live/a/b`, never `live/ab`.
//! A prefix is compared with the path of the URL followed by the fields of the namespace, so that one token
//! can be for one path only. A field that holds a slash cannot be named by a token.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Action, Denied};
use crate::limits;
use crate::moqt::Namespace;
use crate::track::Scope;

/// The claims that count. Others, such as `iss`, are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Stands before every prefix.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// What may be published; one prefix or several.
    #[serde(
        default,
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub put: Vec<String>,
    /// What may be subscribed to.
    #[serde(
        default,
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub get: Vec<String>,
    /// From this second on it is worth nothing; without, it never ends.
    #[serde(
        default,
        deserialize_with = "seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub exp: Option<u64>,
    /// Before this second it is worth nothing.
    #[serde(
        default,
        deserialize_with = "seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub nbf: Option<u64>,
    /// When it was made; nobody asks.
    #[serde(
        default,
        deserialize_with = "seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub iat: Option<u64>,
    /// It says whom it is meant for, in whatever way. The relay has no name to be meant by, so the token is refused
    /// (RFC 7519 §4.1.3).
    #[serde(
        rename = "aud",
        default,
        deserialize_with = "is_there",
        skip_serializing
    )]
    pub has_audience: bool,
}

/// A token whose signature was good: what it allows, and when. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    publish: Vec<Namespace>,
    subscribe: Vec<Namespace>,
    from: u64,
    until: u64,
}

impl Grant {
    /// Everything may be published, for ever: the relay above, which we have called ourselves.
    pub(crate) fn to_publish() -> Self {
        Self {
            publish: vec![Namespace::empty()],
            subscribe: Vec::new(),
            from: 0,
            until: NEVER,
        }
    }

    /// Until when it allows this, the greatest number being for ever; `None` when it does not.
    pub fn until(&self, action: Action, name: &Namespace, unix: u64) -> Option<u64> {
        let prefixes = match action {
            Action::Publish => &self.publish,
            Action::Subscribe => &self.subscribe,
        };
        let covers = || prefixes.iter().any(|prefix| prefix.is_prefix_of(name));
        (self.is_valid(unix) && covers()).then_some(self.until)
    }

    /// Whether this is its time. RFC 7519 §4.1.4: on the very second of `exp` it is over.
    pub(crate) const fn is_valid(&self, unix: u64) -> bool {
        self.from <= unix && unix < self.until
    }

    /// Whether its time is over.
    pub(crate) const fn is_over(&self, unix: u64) -> bool {
        unix >= self.until
    }

    /// When its time is over.
    pub(crate) const fn ends(&self) -> u64 {
        self.until
    }

    /// From when on it counts.
    pub(crate) const fn begins(&self) -> u64 {
        self.from
    }
}

impl TryFrom<Claims> for Grant {
    type Error = Denied;

    fn try_from(claims: Claims) -> Result<Self, Denied> {
        if claims.put.len().saturating_add(claims.get.len()) > limits::PREFIXES {
            return Err(Denied::Malformed);
        }
        let prefixes = |paths: &[String]| -> Option<Vec<Namespace>> {
            let prefix = |path: &String| Namespace::from_path(&format!("{}/{path}", claims.root));
            paths.iter().map(prefix).collect()
        };
        let micros = |seconds: u64| seconds.saturating_mul(1_000_000);
        Ok(Self {
            publish: prefixes(&claims.put).ok_or(Denied::Malformed)?,
            subscribe: prefixes(&claims.get).ok_or(Denied::Malformed)?,
            from: claims.nbf.map_or(0, micros),
            until: claims.exp.map_or(NEVER, micros),
        })
    }
}

/// What prefixes are compared with: the path of the URL, then the namespace; `None` when that is too long
/// for a token to name.
pub(crate) fn full_name(scope: &Scope, namespace: &Namespace) -> Option<Namespace> {
    let path = scope.0.split(|byte| *byte == b'/');
    let path = path.filter(|segment| !segment.is_empty());
    Namespace::new(path.chain(namespace.fields()))
}

/// Anything but null.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(from).map(|it| it.is_some())
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Paths {
        One(String),
        More(Vec<String>),
    }
    Ok(match Paths::deserialize(deserializer)? {
        Paths::One(path) => vec![path],
        Paths::More(paths) => paths,
    })
}

/// RFC 7519 §2, NumericDate: a number, which may have a fraction. Anything else, `null` too, is an error: a
/// time that cannot be read must not become no time at all.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    // Saturates at both ends.
    Ok(Some(seconds as u64))
}

/// The end of what has none.
pub(crate) const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Option<Claims> {
        serde_json::from_str(json).ok()
    }

    fn name(path: &str) -> Namespace {
        Namespace::from_path(path).unwrap()
    }

    #[test]
    fn a_prefix_ends_where_a_field_ends() {
        let claims = claims(r#"{"root":"tv","put":"live/a","get":["live",""]}"#).unwrap();
        let grant = Grant::try_from(claims).unwrap();
        let publish = |path: &str| grant.until(Action::Publish, &name(path), 5).is_some();
        assert!(publish("tv/live/a") && publish("tv/live/a/b"));
        for other in ["tv/live/ab", "tv/live", "live/a", "tv/livea", ""] {
            assert!(!publish(other), "{other}");
        }
        let slash = Namespace::new([b"tv".as_slice(), b"live/a"]).unwrap();
        assert_eq!(grant.until(Action::Publish, &slash, 5), None);
        let subscribe = |path: &str| grant.until(Action::Subscribe, &name(path), 5);
        assert_eq!(subscribe("tv/x"), Some(NEVER));
        assert_eq!(subscribe("radio"), None);
    }

    #[test]
    fn times_are_numbers_and_bound_the_grant() {
        let claims = claims(r#"{"get":"","nbf":2,"exp":4.9}"#).unwrap();
        let grant = Grant::try_from(claims).unwrap();
        let at = |unix| grant.until(Action::Subscribe, &name("x"), unix).is_some();
        assert_eq!(
            [1_999_999, 2_000_000, 3_999_999, 4_000_000].map(at),
            [false, true, true, false]
        );
        for wrong in [r#""4""#, "null", "[4]", "true"] {
            assert_eq!(super::tests::claims(&format!(r#"{{"exp":{wrong}}}"#)), None);
        }
        let twice = r#"{"exp":9,"exp":99}"#;
        assert_eq!(super::tests::claims(twice), None);
        let past = super::tests::claims(r#"{"exp":-1}"#).unwrap();
        assert!(!Grant::try_from(past).unwrap().is_valid(0));
    }

    #[test]
    fn a_path_of_the_url_stands_before_the_namespace() {
        let full = |scope: &str, path| full_name(&Scope::from(scope.as_bytes()), &name(path));
        assert_eq!(full("/tv/", "live"), Some(name("tv/live")));
        assert_eq!(full("", "live"), Some(name("live")));
        let deep = ["x"; 32].join("/");
        assert_eq!(full("/tv", &deep), None);
    }

    #[test]
    fn a_token_names_a_bounded_number_of_prefixes() {
        let of = |put| Claims {
            put,
            ..Claims::default()
        };
        assert!(Grant::try_from(of(vec!["a".into(); 64])).is_ok());
        assert_eq!(
            Grant::try_from(of(vec!["a".into(); 65])),
            Err(Denied::Malformed)
        );
        let deep = of(vec!["x/".repeat(33)]);
        assert_eq!(Grant::try_from(deep), Err(Denied::Malformed));
    }
}
