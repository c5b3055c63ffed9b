//! Message parameters (draft §10.2): a count, then `{delta, value}` in ascending order.
//!
//! Each type has a shape of its own, so an unknown one cannot be skipped and closes the session,
//! as does one in a message where it does not belong.

use super::varint::{byte, prefixed, put, put_prefixed, vi64};
use super::{CloseCode, Filter, GroupOrder, Location, MoqtError, Namespace, PResult, Token};

/// All parameters a message can carry; absent ones are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// How long an object may take from its first byte, in milliseconds.
    pub object_delivery_timeout: Option<u64>,
    /// Tokens; the only parameter that may repeat.
    pub authorization_tokens: Vec<Token>,
    /// How long a SUBSCRIBE waits for its publisher, in milliseconds.
    pub rendezvous_timeout: Option<u64>,
    /// How long a finished subgroup may take to arrive, in milliseconds.
    pub subgroup_delivery_timeout: Option<u64>,
    /// When the sender will end the subscription, in milliseconds.
    pub expires: Option<u64>,
    /// The largest location the sender has seen.
    pub largest_object: Option<Location>,
    /// How long a FETCH may wait for objects that are not at hand, in milliseconds.
    pub fill_timeout: Option<u64>,
    /// Whether objects are to be sent.
    pub forward: Option<bool>,
    /// Priority among the subscriber's requests; lower is more urgent.
    pub subscriber_priority: Option<u8>,
    /// Which objects.
    pub subscription_filter: Option<Filter>,
    /// In which order groups compete.
    pub group_order: Option<GroupOrder>,
    /// The largest known group plus one: a wish for a new group.
    pub new_group_request: Option<u64>,
    /// A new prefix for a namespace subscription.
    pub track_namespace_prefix: Option<Namespace>,
}

/// Parameter types (draft §15.6).
mod kind {
    pub const OBJECT_DELIVERY_TIMEOUT: u64 = 0x02;
    pub const AUTHORIZATION_TOKEN: u64 = 0x03;
    pub const RENDEZVOUS_TIMEOUT: u64 = 0x04;
    pub const SUBGROUP_DELIVERY_TIMEOUT: u64 = 0x06;
    pub const EXPIRES: u64 = 0x08;
    pub const LARGEST_OBJECT: u64 = 0x09;
    pub const FILL_TIMEOUT: u64 = 0x0a;
    pub const FORWARD: u64 = 0x10;
    pub const SUBSCRIBER_PRIORITY: u64 = 0x20;
    pub const SUBSCRIPTION_FILTER: u64 = 0x21;
    pub const GROUP_ORDER: u64 = 0x22;
    pub const NEW_GROUP_REQUEST: u64 = 0x32;
    pub const TRACK_NAMESPACE_PREFIX: u64 = 0x34;
}

/// The parameters each message may carry (draft §10.2.2 to §10.2.14).
pub mod allowed {
    /// In SUBSCRIBE.
    pub const SUBSCRIBE: &[u64] = &[0x02, 0x03, 0x04, 0x06, 0x10, 0x20, 0x21, 0x22, 0x32];
    /// In SUBSCRIBE_OK.
    pub const SUBSCRIBE_OK: &[u64] = &[0x08, 0x09];
    /// In REQUEST_UPDATE, whatever it updates.
    pub const REQUEST_UPDATE: &[u64] = &[0x02, 0x03, 0x06, 0x10, 0x20, 0x21, 0x32, 0x34];
    /// In REQUEST_OK, whatever it answers.
    pub const REQUEST_OK: &[u64] = &[0x02, 0x06, 0x08, 0x09, 0x10, 0x20, 0x21, 0x22, 0x32];
    /// In PUBLISH.
    pub const PUBLISH: &[u64] = &[0x03, 0x08, 0x09, 0x10];
    /// In FETCH.
    pub const FETCH: &[u64] = &[0x03, 0x0a, 0x20, 0x22];
    /// In FETCH_OK.
    pub const FETCH_OK: &[u64] = &[];
    /// In TRACK_STATUS: what SUBSCRIBE may carry, because the two are treated alike.
    pub const TRACK_STATUS: &[u64] = SUBSCRIBE;
    /// In PUBLISH_NAMESPACE and SUBSCRIBE_NAMESPACE.
    pub const NAMESPACE: &[u64] = &[0x03];
    /// In SUBSCRIBE_TRACKS.
    pub const SUBSCRIBE_TRACKS: &[u64] = &[0x03, 0x10];
}

/// The longest length-prefixed value: a control message cannot be longer.
const MAX_VALUE_LEN: usize = 65_535;

impl Parameters {
    /// Parses count and parameters; a type outside `allowed` is refused.
    pub fn parse<'a>(i: &'a [u8], allowed: &[u64]) -> PResult<'a, Self> {
        let (mut i, count) = vi64(i)?;
        let mut parameters = Self::default();
        let mut previous = None;
        for _ in 0..count {
            let delta;
            (i, delta) = vi64(i)?;
            let Some(kind) = previous.unwrap_or(0u64).checked_add(delta) else {
                return MoqtError::violation("parameter type beyond 2^64-1").fail();
            };
            if !allowed.contains(&kind) {
                return MoqtError::violation("parameter unknown or not allowed here").fail();
            }
            if previous == Some(kind) && kind != kind::AUTHORIZATION_TOKEN {
                return MoqtError::violation("repeated parameter").fail();
            }
            (i, ()) = parameters.value(i, kind)?;
            previous = Some(kind);
        }
        Ok((i, parameters))
    }

    fn value<'a>(&mut self, i: &'a [u8], kind: u64) -> PResult<'a, ()> {
        match kind {
            kind::OBJECT_DELIVERY_TIMEOUT => int(i, &mut self.object_delivery_timeout),
            kind::RENDEZVOUS_TIMEOUT => int(i, &mut self.rendezvous_timeout),
            kind::SUBGROUP_DELIVERY_TIMEOUT => int(i, &mut self.subgroup_delivery_timeout),
            kind::EXPIRES => int(i, &mut self.expires),
            kind::FILL_TIMEOUT => int(i, &mut self.fill_timeout),
            kind::NEW_GROUP_REQUEST => int(i, &mut self.new_group_request),
            kind::AUTHORIZATION_TOKEN => {
                let (i, value) = prefixed(i, MAX_VALUE_LEN, "token too long")?;
                self.authorization_tokens
                    .push(Token::parse_all(value).map_err(nom::Err::Failure)?);
                Ok((i, ()))
            }
            kind::LARGEST_OBJECT => {
                let (i, value) = Location::parse(i)?;
                self.largest_object = Some(value);
                Ok((i, ()))
            }
            kind::FORWARD => {
                let (i, value) = byte(i)?;
                if value > 1 {
                    return MoqtError::violation("FORWARD neither 0 nor 1").fail();
                }
                self.forward = Some(value == 1);
                Ok((i, ()))
            }
            kind::SUBSCRIBER_PRIORITY => {
                let (i, value) = byte(i)?;
                self.subscriber_priority = Some(value);
                Ok((i, ()))
            }
            kind::SUBSCRIPTION_FILTER => {
                let (i, value) = prefixed(i, MAX_VALUE_LEN, "filter too long")?;
                self.subscription_filter = Some(whole_filter(value).map_err(nom::Err::Failure)?);
                Ok((i, ()))
            }
            kind::GROUP_ORDER => {
                let (i, value) = byte(i)?;
                self.group_order = GroupOrder::from_number(u64::from(value));
                match self.group_order {
                    Some(_) => Ok((i, ())),
                    None => MoqtError::violation("group order neither 1 nor 2").fail(),
                }
            }
            kind::TRACK_NAMESPACE_PREFIX => {
                let (i, value) = Namespace::parse(i)?;
                self.track_namespace_prefix = Some(value);
                Ok((i, ()))
            }
            _ => MoqtError::violation("unknown parameter").fail(),
        }
    }

    /// Appends count and parameters.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = ParameterWriter::default();
        writer.int(kind::OBJECT_DELIVERY_TIMEOUT, self.object_delivery_timeout);
        for token in &self.authorization_tokens {
            writer.prefixed(kind::AUTHORIZATION_TOKEN, |out| token.encode(out));
        }
        writer.int(kind::RENDEZVOUS_TIMEOUT, self.rendezvous_timeout);
        writer.int(
            kind::SUBGROUP_DELIVERY_TIMEOUT,
            self.subgroup_delivery_timeout,
        );
        writer.int(kind::EXPIRES, self.expires);
        if let Some(location) = self.largest_object {
            writer.key(kind::LARGEST_OBJECT);
            location.encode(&mut writer.bytes);
        }
        writer.int(kind::FILL_TIMEOUT, self.fill_timeout);
        writer.byte(kind::FORWARD, self.forward.map(u8::from));
        writer.byte(kind::SUBSCRIBER_PRIORITY, self.subscriber_priority);
        if let Some(filter) = self.subscription_filter {
            writer.prefixed(kind::SUBSCRIPTION_FILTER, |out| filter.encode(out));
        }
        writer.byte(kind::GROUP_ORDER, self.group_order.map(GroupOrder::number));
        writer.int(kind::NEW_GROUP_REQUEST, self.new_group_request);
        if let Some(namespace) = &self.track_namespace_prefix {
            writer.key(kind::TRACK_NAMESPACE_PREFIX);
            namespace.encode(&mut writer.bytes);
        }
        put(out, writer.count);
        out.extend_from_slice(&writer.bytes);
    }
}

fn int<'a>(i: &'a [u8], field: &mut Option<u64>) -> PResult<'a, ()> {
    let (i, value) = vi64(i)?;
    *field = Some(value);
    Ok((i, ()))
}

fn whole_filter(value: &[u8]) -> Result<Filter, MoqtError> {
    match Filter::parse(value) {
        Ok(([], filter)) => Ok(filter),
        Ok(_) => Err(MoqtError::violation("bytes after a filter")),
        Err(error) => {
            let error = MoqtError::from(error);
            if error.is_truncated() {
                return Err(MoqtError::new(
                    CloseCode::KEY_VALUE_FORMATTING_ERROR,
                    "truncated filter",
                ));
            }
            Err(error)
        }
    }
}

/// Collects parameters, because their count comes first.
#[derive(Default)]
struct ParameterWriter {
    bytes: Vec<u8>,
    count: u64,
    previous: u64,
}

impl ParameterWriter {
    fn key(&mut self, kind: u64) {
        put(&mut self.bytes, kind.saturating_sub(self.previous));
        self.previous = kind;
        self.count = self.count.saturating_add(1);
    }

    fn int(&mut self, kind: u64, value: Option<u64>) {
        if let Some(value) = value {
            self.key(kind);
            put(&mut self.bytes, value);
        }
    }

    fn byte(&mut self, kind: u64, value: Option<u8>) {
        if let Some(value) = value {
            self.key(kind);
            self.bytes.push(value);
        }
    }

    fn prefixed(&mut self, kind: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::new();
        write(&mut value);
        self.key(kind);
        put_prefixed(&mut self.bytes, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[u64] = &[
        0x02, 0x03, 0x04, 0x06, 0x08, 0x09, 0x0a, 0x10, 0x20, 0x21, 0x22, 0x32, 0x34,
    ];

    fn every_parameter() -> Parameters {
        Parameters {
            object_delivery_timeout: Some(500),
            authorization_tokens: vec![
                Token::UseValue {
                    kind: 0,
                    value: b"a".to_vec(),
                },
                Token::UseValue {
                    kind: 0,
                    value: b"b".to_vec(),
                },
            ],
            rendezvous_timeout: Some(1000),
            subgroup_delivery_timeout: Some(3),
            expires: Some(0),
            largest_object: Some(Location::new(4, 200)),
            fill_timeout: Some(1),
            forward: Some(false),
            subscriber_priority: Some(200),
            subscription_filter: Some(Filter::LargestObject),
            group_order: Some(GroupOrder::Descending),
            new_group_request: Some(7),
            track_namespace_prefix: Namespace::from_path("a"),
        }
    }

    #[test]
    fn all_parameters_round_trip_and_no_prefix_of_them_parses() {
        let mut out = Vec::new();
        every_parameter().encode(&mut out);
        assert_eq!(
            Parameters::parse(&out, ALL),
            Ok((&[][..], every_parameter()))
        );
        for len in 0..out.len() {
            assert!(Parameters::parse(&out[..len], ALL).is_err(), "{len}");
        }
    }

    #[test]
    fn bytes_of_three_parameters() {
        let parameters = Parameters {
            forward: Some(true),
            subscriber_priority: Some(128),
            subscription_filter: Some(Filter::NextGroupStart),
            ..Parameters::default()
        };
        let mut out = Vec::new();
        parameters.encode(&mut out);
        assert_eq!(out, [3, 0x10, 1, 0x10, 128, 1, 1, 1]);
    }

    #[test]
    fn unknown_misplaced_and_repeated_parameters_close_the_session() {
        assert!(Parameters::parse(&[1, 0x7e, 0], ALL).is_err());
        assert!(Parameters::parse(&[1, 0x10, 1], allowed::FETCH).is_err());
        assert!(Parameters::parse(&[2, 0x10, 1, 0, 1], ALL).is_err());
        assert!(Parameters::parse(&[1, 0x10, 2], ALL).is_err());
        assert!(Parameters::parse(&[1, 0x22, 0], ALL).is_err());
    }

    #[test]
    fn a_count_larger_than_the_message_ends_quickly() {
        let mut out = vec![0xff; 9];
        out.extend([0x10, 1]);
        assert!(Parameters::parse(&out, ALL).is_err());
    }
}
