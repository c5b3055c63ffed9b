//! A relay with a key, and clients with and without tokens. RFC 7519.

use std::fs;
use std::process::Output;

use super::CLIP;
use super::processes::{Directory, Program, Relay, go, held, program, said, same};

/// Runs `quic-relay token`.
pub(crate) fn token(words: &[&str]) -> String {
    let output = program(&[&["token"][..], words].concat())
        .output()
        .expect("the program was built");
    assert!(output.status.success(), "{}", said(&output));
    let token = String::from_utf8(output.stdout).expect("text");
    token.trim_end().to_owned()
}

/// A directory with a key pair, and a relay that has its public half.
fn guarded(name: &str, alg: &str) -> (Directory, String, Relay) {
    let directory = Directory::new(name);
    let key = directory.path("key");
    token(&["--generate", "--key", &key, "--alg", alg]);
    let public = match alg {
        "HS256" => key.clone(),
        _ => format!("{key}.pub"),
    };
    let relay = Relay::start(&["--tls-generate", "localhost", "--auth-key", &public]);
    (directory, key, relay)
}

fn subscribe(relay: &Relay, words: &[&str]) -> Output {
    let words = [&["--wait", "0", "--output", "/dev/null"], words].concat();
    let output = program(&relay.client("subscribe", &words)).output();
    output.expect("the program was built")
}

#[test]
fn who_has_a_token_comes_in_and_nobody_else() {
    for alg in ["HS256", "ES256", "EdDSA"] {
        let (directory, key, mut relay) = guarded(&format!("guarded-{alg}"), alg);
        let put = token(&["--key", &key, "--publish", "live"]);
        let get = token(&["--key", &key, "--subscribe", "live/demo"]);
        let file = directory.path("token");
        fs::write(&file, format!("{put}\n")).expect("the directory is writable");
        let refusals = [
            (vec![], "no token allows it (0x1)"),
            (vec!["--token", put.as_str()], "no token allows it (0x1)"),
            (vec!["--token", "e30.e30.e30"], "MALFORMED_AUTH_TOKEN"),
        ];
        for (words, text) in refusals {
            let output = subscribe(&relay, &words);
            assert_eq!(output.status.code(), Some(7), "{}", said(&output));
            assert!(said(&output).contains(text), "{}", said(&output));
        }

        let out = directory.path("out.ivf");
        let from_file = format!("@{file}");
        let publisher = held(&relay, &["--token", &from_file]);
        let open = relay.url.clone();
        relay.url = format!("{open}/?jwt={get}");
        let subscriber = Program::start(&relay.client("subscribe", &["--output", &out]));
        go(publisher, subscriber);
        same(out, CLIP);

        let log = relay.program.said();
        assert!(log.contains(&format!("only with a token ({alg}")), "{log}");
        assert!(
            log.contains("SUBSCRIBE refused: no token allows it"),
            "{log}"
        );
        for secret in [&put, &get] {
            for part in secret.split('.') {
                assert!(!log.contains(part), "a token in the log: {log}");
            }
        }
    }
}

#[test]
fn bad_tokens_are_refused_with_their_reason() {
    let (directory, key, relay) = guarded("bad-tokens", "ES256");
    let mint = |words: &[&str]| token(&[&["--key", &key][..], words].concat());
    let other_key = directory.path("other");
    let other = ["--generate", "--key", &other_key, "--subscribe", "live"];
    let forged = token(&[&other[..], &["--alg", "ES256"]].concat());
    // HS256 with the public key, which everybody may read, as the secret; and no signature at all.
    let public = fs::read_to_string(format!("{key}.pub")).expect("it was written");
    let line: String = public
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let confusing = directory.path("confusing");
    fs::write(&confusing, line).expect("the directory is writable");
    let confused = token(&["--key", &confusing, "--subscribe", "live"]);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJnZXQiOiIifQ.".to_owned();
    for (token, text) in [
        (
            mint(&["--subscribe", "live", "--expires", "0s"]),
            "EXPIRED_AUTH_TOKEN",
        ),
        (
            mint(&["--subscribe", "live/dem"]),
            "no token allows it (0x1)",
        ),
        (
            mint(&["--subscribe", "live", "--root", "tv"]),
            "no token allows it (0x1)",
        ),
        (forged, "UNAUTHORIZED: not a token of this relay's key"),
        (confused, "UNAUTHORIZED: not a token of this relay's key"),
        (unsigned, "MALFORMED_AUTH_TOKEN"),
    ] {
        let output = subscribe(&relay, &["--token", &token]);
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        assert!(said(&output).contains(text), "{text}: {}", said(&output));
    }
}

#[test]
fn tokens_that_end_end_what_is_running() {
    let (_directory, key, relay) = guarded("ending", "EdDSA");
    let mint = |direction, time| token(&["--key", &key, direction, "live", "--expires", time]);
    let (long, short) = (mint("--publish", "1h"), mint("--subscribe", "3s"));
    let _publisher = Program::start(&relay.client("publish", &["--token", &long, CLIP]));
    let words = ["--wait", "9", "--output", "/dev/null", "--token", &short];
    let output = program(&relay.client("subscribe", &words)).output();
    let output = output.expect("the program was built");
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let text = "the track ended early: the token has expired (0x1)";
    assert!(said(&output).contains(text), "{}", said(&output));

    let short = mint("--publish", "2s");
    let names = ["--namespace", "live/other", "--track", "video"];
    let start = [
        "publish",
        &relay.url,
        "--tls-disable-verify",
        "--token",
        &short,
    ];
    let output = program(&[&start, &names[..], &[CLIP]].concat()).output();
    let output = output.expect("the program was built");
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let text = "wants the track no more: the token has expired";
    assert!(said(&output).contains(text), "{}", said(&output));
}

#[test]
fn a_chained_relay_shows_its_token() {
    let (directory, key, above) = guarded("chained", "HS256");
    let put = token(&["--key", &key, "--publish", "live"]);
    let get = directory.path("get");
    fs::write(&get, token(&["--key", &key, "--subscribe", "/"])).expect("it is writable");
    let start = |words: &[&str]| {
        let upstream = ["--upstream", &above.url, "--tls-disable-verify"];
        let own = ["--tls-generate", "localhost"];
        Relay::start(&[&own[..], &upstream, words].concat())
    };
    let below = start(&["--upstream-token", &format!("@{get}")]);
    let stranger = start(&[]);
    let out = directory.path("out.ivf");
    let publisher = held(&above, &["--token", &put]);
    let subscriber = Program::start(&below.client("subscribe", &["--output", &out]));
    go(publisher, subscriber);
    same(out, CLIP);
    let output = subscribe(&stranger, &[]);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
}

#[test]
fn a_relay_without_a_key_says_that_anyone_may_come() {
    let mut relay = Relay::generated();
    let log = relay.program.said();
    let warning = "ANYONE who reaches this port may publish and subscribe";
    let said = |line: &&str| line.contains("WARN") && line.contains(warning);
    assert_eq!(log.lines().filter(said).count(), 1, "{log}");
}
