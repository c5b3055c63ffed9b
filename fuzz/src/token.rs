//! Address validation tokens (RFC 9000 §8.1): whoever does not have the key makes none that is accepted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use quic_lite::Time;
use quic_lite::limits::{NEW_TOKEN_LIFETIME, RETRY_LIFETIME};
use quic_lite::token::{InvalidToken, NONCE_LEN, Token, TokenKey};
use quic_lite::wire::connection_id::ConnectionId;

use crate::bytes::Script;

static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::new([3; 32]));
static OTHER_KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::new([4; 32]));

/// The rest of the input is a token that somebody made up. What comes before it chooses tokens of ours, which
/// open as what they are: at their address, for their time, undamaged, under their key.
pub fn token(data: &[u8]) {
    let mut script = Script::new(data);
    let remote = address(&mut script);
    let now = Time::from_micros(script.integer());
    let late = Duration::from_micros(script.integer());
    let (damaged, flip) = (script.byte(), script.byte());
    let nonce = [script.byte(); NONCE_LEN];
    let original = cid(&mut script);
    let retry = cid(&mut script);
    let other = address(&mut script);
    made_up(script.rest(), remote, now);

    let token = KEY.seal_retry(remote, &original, &retry, now, nonce);
    let expected = Token::Retry {
        original_destination_connection_id: original,
        retry_source_connection_id: retry,
    };
    let is_fresh = |lifetime| late < lifetime && now + late < now + lifetime;
    let opened = KEY.open(&token, remote, now + late);
    let fresh = is_fresh(RETRY_LIFETIME);
    assert_eq!(
        opened,
        if fresh {
            Ok(expected)
        } else {
            Err(InvalidToken::Retry)
        }
    );
    // IPv4 in IPv6 is the same address.
    if canonical(other.ip()) != canonical(remote.ip()) || other.port() != remote.port() {
        assert_eq!(KEY.open(&token, other, now), Err(InvalidToken::Retry));
    }
    damage(&token, remote, now, (damaged, flip));

    let token = KEY.seal_new_token(remote.ip(), now, nonce);
    let fresh = is_fresh(NEW_TOKEN_LIFETIME);
    // Any port will do.
    let again = SocketAddr::new(remote.ip(), other.port());
    let opened = KEY.open(&token, again, now + late);
    assert_eq!(
        opened,
        if fresh {
            Ok(Token::NewToken)
        } else {
            Err(InvalidToken::NewToken)
        }
    );
    damage(&token, remote, now, (damaged, flip));
}

/// It is refused, and its first byte says as what.
fn made_up(token: &[u8], remote: SocketAddr, now: Time) {
    let error = KEY.open(token, remote, now).unwrap_err();
    let claims_retry = token.first() == Some(&1);
    assert_eq!(error == InvalidToken::Retry, claims_retry);
    assert!(!error.to_string().contains('\n'));
}

fn damage(token: &[u8], remote: SocketAddr, now: Time, (at, flip): (u8, u8)) {
    assert!(OTHER_KEY.open(token, remote, now).is_err());
    let at = usize::from(at) % token.len();
    assert!(KEY.open(&token[..at], remote, now).is_err());
    let longer = [token, &[flip]].concat();
    assert!(KEY.open(&longer, remote, now).is_err());
    let mut damaged = token.to_vec();
    damaged[at] ^= flip.max(1);
    assert!(KEY.open(&damaged, remote, now).is_err());
}

fn address(script: &mut Script<'_>) -> SocketAddr {
    let (kind, host, port) = (script.byte(), script.byte(), script.short());
    let v4 = Ipv4Addr::new(192, 0, 2, host);
    let ip = match kind % 3 {
        0 => v4.into(),
        1 => v4.to_ipv6_mapped().into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()).into(),
    };
    SocketAddr::new(ip, port)
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn cid(script: &mut Script<'_>) -> ConnectionId {
    let bytes = script.bytes();
    ConnectionId::new(&bytes[..bytes.len().min(ConnectionId::MAX_LEN)]).unwrap()
}
