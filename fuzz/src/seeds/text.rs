//! Seeds of what people write: tokens (RFC 7519) and configuration files (No RFC).

use super::{Seed, seed};

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    for (name, start, header, claims) in SIGNED {
        let len = u16::try_from(header.len()).expect("short").to_be_bytes();
        let parts = [&start[..], &len, header.as_bytes(), claims.as_bytes()];
        all.push(seed("access_token", name, parts.concat()));
    }
    for (name, token) in WHOLE {
        all.push(seed(
            "access_token",
            name,
            [&[0, 0], token.as_bytes()].concat(),
        ));
    }
    for (name, bytes) in MINTED {
        all.push(seed("access_token", name, bytes.to_vec()));
    }
    for (name, text) in FILES {
        all.push(seed("config", name, text.as_bytes().to_vec()));
    }
    all
}

/// Which key, how it is signed (2: by the key), what is damaged; header; claims.
type Signed = (&'static str, [u8; 4], &'static str, &'static str);

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const ES256: &str = r#"{"alg":"ES256"}"#;
const EDDSA: &str = r#"{"alg":"EdDSA","kid":"1"}"#;
const LIVE: &str = r#"{"put":"live","get":["live","tv"],"exp":2000000000}"#;

const SIGNED: &[Signed] = &[
    ("signed_hs256", [0, 2, 0, 0], HS256, LIVE),
    ("signed_es256", [1, 2, 0, 0], ES256, LIVE),
    ("signed_eddsa", [2, 2, 0, 0], EDDSA, LIVE),
    (
        "root_before_each_prefix",
        [0, 2, 0, 0],
        HS256,
        r#"{"root":"a/b","put":"","get":"c/"}"#,
    ),
    (
        "not_before_and_fractions",
        [0, 2, 0, 0],
        HS256,
        r#"{"get":"x","nbf":1.5,"exp":4.9,"iat":-1}"#,
    ),
    (
        "time_beyond_all_times",
        [0, 2, 0, 0],
        HS256,
        r#"{"get":"x","nbf":0,"exp":1e300}"#,
    ),
    ("time_as_text", [0, 2, 0, 0], HS256, r#"{"exp":"9"}"#),
    ("time_null", [0, 2, 0, 0], HS256, r#"{"put":"","exp":null}"#),
    (
        "time_twice",
        [0, 2, 0, 0],
        HS256,
        r#"{"put":"","exp":9,"exp":99}"#,
    ),
    (
        "claims_nested",
        [0, 2, 0, 0],
        HS256,
        r#"{"put":[["a"]],"x":{"put":[{"put":"a"}]}}"#,
    ),
    ("claims_a_list", [0, 2, 0, 0], HS256, r#"["put","a"]"#),
    (
        "claims_with_escapes",
        [0, 2, 0, 0],
        HS256,
        r#"{"p\u0075t":"\u00e9/\ud83d\ude00"}"#,
    ),
    (
        "audience",
        [0, 2, 0, 0],
        HS256,
        r#"{"put":"","aud":"somebody"}"#,
    ),
    (
        "audience_null",
        [0, 2, 0, 0],
        HS256,
        r#"{"put":"","aud":null}"#,
    ),
    (
        "critical",
        [0, 2, 0, 0],
        r#"{"alg":"HS256","crit":["exp"]}"#,
        LIVE,
    ),
    (
        "critical_empty",
        [0, 2, 0, 0],
        r#"{"alg":"HS256","crit":[]}"#,
        LIVE,
    ),
    ("none", [0, 3, 0, 0], r#"{"alg":"none"}"#, LIVE),
    ("none_signed", [0, 2, 0, 0], r#"{"alg":"none"}"#, LIVE),
    ("algorithm_of_another_key", [0, 2, 0, 0], ES256, LIVE),
    (
        "algorithm_with_a_longer_hash",
        [0, 2, 0, 0],
        r#"{"alg":"HS384"}"#,
        LIVE,
    ),
    (
        "algorithm_twice",
        [0, 2, 0, 0],
        r#"{"alg":"none","alg":"HS256"}"#,
        LIVE,
    ),
    (
        "key_in_the_header",
        [2, 2, 0, 0],
        r#"{"alg":"EdDSA","jwk":{"kty":"oct","k":"AAAA"},"x5c":["AA=="]}"#,
        LIVE,
    ),
    ("signature_damaged", [2, 4, 9, 1], EDDSA, LIVE),
    ("signature_of_other_text", [1, 5, 0, 0], ES256, LIVE),
    ("signature_cut", [2, 6, 31, 0], EDDSA, LIVE),
    ("public_key_as_secret", [1, 7, 0, 0], HS256, LIVE),
    ("public_point_as_secret", [2, 8, 0, 0], HS256, LIVE),
    ("signed_by_another_key", [0, 9, 0, 0], HS256, LIVE),
];

/// Tokens as they come: RFC 7515 §A.1, RFC 7519 §6.1, and what is none.
const WHOLE: &[(&str, &str)] = &[
    (
        "whole_rfc7515_a_1",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        "whole_rfc7519_6_1_unsecured",
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    ),
    ("whole_two_parts", "eyJhbGciOiJIUzI1NiJ9.e30"),
    ("whole_four_parts", "eyJhbGciOiJIUzI1NiJ9.e30.AA.AA"),
    ("whole_padded", "eyJhbGciOiJIUzI1NiJ9==.e30=.AA=="),
    ("whole_not_ascii", "\u{e9}.\u{e9}.\u{e9}"),
    ("whole_empty", ""),
];

/// Key, 1, shape, what is damaged, times, then root and prefixes with their lengths.
const MINTED: &[(&str, &[u8])] = &[
    ("minted_publish", b"\x00\x01\x08\x00\x05\x01\x00\x04live"),
    ("minted_with_times", b"\x02\x01\x2f\x00\x50\x80\xbf\xff\xff\xff\x40\x40\x01\x02tv\x01a\x03b/c"),
    ("minted_everything", b"\x01\x01\xf8\x01\x00\x20"),
    ("minted_at_the_end_of_time", b"\x00\x01\x03\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
    ("minted_slashes", b"\x02\x01\x28\x00\x00\x01\x03//a\x04/b//\x01/"),
];

const FILES: &[(&str, &str)] = &[
    (
        "every_key",
        "bind = '[::]:4443'\ntls-cert = 'c'\ntls-key = 'k'\nupstream = 'moqt://h:1/p?jwt=x'\nupstream-token = '@t'\n\
         cache-bytes = 9\nraw = true\ntls-ca = 'a'\nreport = '-'\nfast-path = 'auto'\ninterface = ['a', 'b']\n\
         fast-path-hook = 'tcx'\nfast-path-slots = 7\ncontrol = 's'\nqlog = 'q'\n",
    ),
    (
        "generated",
        "tls-generate = \"localhost\" # for tests\nbind = \"127.0.0.1:0\"\nfast-path = \"off\"\n",
    ),
    (
        "netlink",
        "fast-path = 'require'\nfast-path-hook = 'netlink'\ninterface = [\n  'eth0',\n]\n",
    ),
    ("key_without_certificate", "tls-key = 'k'\n"),
    (
        "two_certificates",
        "tls-cert = 'c'\ntls-key = 'k'\ntls-generate = 'x'\n",
    ),
    ("token_for_nobody", "upstream-token = 't'\n"),
    (
        "verified_and_not",
        "tls-ca = 'c'\ntls-disable-verify = true\n",
    ),
    ("raw_with_a_key", "raw = true\nauth-key = 'k'\n"),
    ("too_many_slots", "fast-path-slots = 1025\n"),
    ("negative", "cache-bytes = -1\n"),
    ("unknown_key", "\n\nbynd = 1\n"),
    ("key_twice", "raw = true\nraw = false\n"),
    ("wrong_type", "raw = 'yes'\n"),
    ("no_url", "upstream = 'http://h'\n"),
    ("dotted_key", "bind.host = 'h'\n"),
    ("table", "[bind]\nport = 1\n[[interface]]\n"),
    ("nested", "interface = [[['a']]]\n"),
    (
        "escapes",
        "\"b\\u0069nd\" = \"\\u005b::1]:1\"\r\n'raw'=true",
    ),
    (
        "other_types",
        "raw = 1979-05-27T07:32:00Z\nbind = 0x1f\nqlog = inf\n",
    ),
    ("not_toml", "= 1\n"),
    (
        "several_lines",
        "qlog = '''\na\n\nb'''\nreport = \"\"\"\n\"\"\"\n",
    ),
    ("empty_paths", "qlog = ''\ninterface = ['']\n"),
];
