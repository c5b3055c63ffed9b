//! Which tokens open, and which do not: each way to be wrong, one by one.

use super::*;

const NOW: Time = Time::from_micros(1_000_000);
const REMOTE: &str = "192.0.2.1:4433";

fn key() -> TokenKey {
    TokenKey::new([7; 32])
}

fn remote(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn cid(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

fn retry_token() -> Vec<u8> {
    key().seal_retry(
        remote(REMOTE),
        &cid(b"original"),
        &cid(b"ours"),
        NOW,
        [1; NONCE_LEN],
    )
}

fn new_token() -> Vec<u8> {
    key().seal_new_token(remote(REMOTE).ip(), NOW, [2; NONCE_LEN])
}

fn open(token: &[u8], from: &str, now: Time) -> Result<Token, InvalidToken> {
    key().open(token, remote(from), now)
}

#[test]
fn a_retry_token_gives_both_connection_ids_back() {
    let expected = Token::Retry {
        original_destination_connection_id: cid(b"original"),
        retry_source_connection_id: cid(b"ours"),
    };
    assert_eq!(open(&retry_token(), REMOTE, NOW), Ok(expected));
}

#[test]
fn a_retry_token_for_another_connection_id_does_not_compare_equal() {
    let other = key().seal_retry(
        remote(REMOTE),
        &cid(b"another"),
        &cid(b"ours"),
        NOW,
        [1; NONCE_LEN],
    );
    assert_ne!(open(&other, REMOTE, NOW), open(&retry_token(), REMOTE, NOW));
}

#[test]
fn connection_ids_of_every_length_survive() {
    for len in 0..=ConnectionId::MAX_LEN {
        let (original, ours) = (
            cid(&vec![3; len]),
            cid(&vec![4; ConnectionId::MAX_LEN - len]),
        );
        let token = key().seal_retry(remote(REMOTE), &original, &ours, NOW, [1; NONCE_LEN]);
        let expected = Token::Retry {
            original_destination_connection_id: original,
            retry_source_connection_id: ours,
        };
        assert_eq!(open(&token, REMOTE, NOW), Ok(expected));
    }
}

#[test]
fn a_retry_token_from_another_address_or_port_is_refused() {
    for from in ["192.0.2.2:4433", "192.0.2.1:4434", "[2001:db8::1]:4433"] {
        assert_eq!(
            open(&retry_token(), from, NOW),
            Err(InvalidToken::Retry),
            "{from}"
        );
    }
}

#[test]
fn a_new_token_opens_from_any_port_of_its_address_only() {
    assert_eq!(open(&new_token(), "192.0.2.1:9", NOW), Ok(Token::NewToken));
    assert_eq!(
        open(&new_token(), "192.0.2.2:4433", NOW),
        Err(InvalidToken::NewToken)
    );
}

#[test]
fn an_ipv4_address_is_the_same_through_a_dual_stack_socket() {
    let mapped = "[::ffff:192.0.2.1]:4433";
    assert_eq!(open(&new_token(), mapped, NOW), Ok(Token::NewToken));
    assert!(open(&retry_token(), mapped, NOW).is_ok());
}

#[test]
fn tokens_expire() {
    let tick = Duration::from_micros(1);
    for (token, lifetime, refusal) in [
        (retry_token(), limits::RETRY_LIFETIME, InvalidToken::Retry),
        (
            new_token(),
            limits::NEW_TOKEN_LIFETIME,
            InvalidToken::NewToken,
        ),
    ] {
        assert!(open(&token, REMOTE, NOW + lifetime - tick).is_ok());
        assert_eq!(open(&token, REMOTE, NOW + lifetime), Err(refusal));
        assert_eq!(open(&token, REMOTE, Time::FAR_FUTURE), Err(refusal));
    }
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    for token in [retry_token(), new_token()] {
        for bit in 0..token.len() * 8 {
            let mut token = token.clone();
            token[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&token, REMOTE, NOW).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_truncated_or_extended_token_is_refused() {
    for token in [retry_token(), new_token()] {
        for len in 0..token.len() {
            assert!(open(&token[..len], REMOTE, NOW).is_err(), "length {len}");
        }
        let longer = [token.as_slice(), &[0]].concat();
        assert!(open(&longer, REMOTE, NOW).is_err());
    }
    assert!(open(&[RETRY; 60_000], REMOTE, NOW).is_err());
}

#[test]
fn one_kind_cannot_be_passed_off_as_the_other() {
    for (mut token, other, refusal) in [
        (retry_token(), NEW_TOKEN, InvalidToken::NewToken),
        (new_token(), RETRY, InvalidToken::Retry),
        (retry_token(), 0, InvalidToken::NewToken),
    ] {
        token[0] = other;
        assert_eq!(open(&token, REMOTE, NOW), Err(refusal));
        assert_eq!(open(&token, "192.0.2.1:0", NOW), Err(refusal));
    }
}

#[test]
fn a_token_of_another_key_is_refused() {
    let other = TokenKey::new([8; 32]);
    assert!(other.open(&retry_token(), remote(REMOTE), NOW).is_err());
}

#[test]
fn stateless_reset_tokens_depend_on_key_and_connection_id_alone() {
    let key = ResetKey::new([1; 32]);
    let token = key.stateless_reset_token(&cid(b"12345678"));
    assert_eq!(
        token,
        ResetKey::new([1; 32]).stateless_reset_token(&cid(b"12345678"))
    );
    assert_ne!(token, key.stateless_reset_token(&cid(b"12345679")));
    assert_ne!(
        token,
        ResetKey::new([2; 32]).stateless_reset_token(&cid(b"12345678"))
    );
}

#[test]
fn a_stateless_reset_token_is_hmac_sha256_cut_in_half() {
    // RFC 4231 §4.2; HMAC pads a key of 20 bytes with the zeros that follow it here.
    let mut key = [0; 32];
    key[..20].fill(0x0b);
    let token = ResetKey::new(key).stateless_reset_token(&cid(b"Hi There"));
    assert_eq!(
        u128::from_be_bytes(token),
        0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b
    );
}
