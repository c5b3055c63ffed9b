//! The configuration file of `serve` (No RFC): any text is options or an error that says where, and what the file says
//! could have been said on the command line.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Command, FromArgMatches, ValueEnum};
use quic_relay::options::ServeOptions;
use quic_relay::url::RelayUrl;
use toml::{Table, Value};

/// An error names its line and, where the text is TOML, one of its keys. What was read is the same when it is written
/// again, and on the command line: that takes it and refuses it for the same reasons.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let options = match ServeOptions::from_toml(text) {
        Ok(options) => options,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("line {}: ", error.line)));
            assert!((1..=text.matches('\n').count() + 1).contains(&error.line));
            let keys = text.parse::<Table>().ok();
            let is_named = |keys: Table| error.key.is_some_and(|key| keys.contains_key(&key));
            return assert!(keys.is_none_or(is_named), "{shown} of {text:?}");
        }
    };
    let said = said(&options);
    let again = ServeOptions::from_toml(&Table::from_iter(said.clone()).to_string());
    assert_eq!(again.as_ref(), Ok(&options), "{text:?}");
    assert_eq!(ServeOptions::default().over(options.clone()), options);
    // An empty path is no value on a command line; from a file it is one that cannot be opened.
    if said.iter().any(|(_, value)| value.as_str() == Some("")) {
        return;
    }
    let words = said.iter().flat_map(|(key, value)| arguments(key, value));
    let words: Vec<String> = words.collect();
    let parsed = parse(&words);
    assert_eq!(
        parsed.is_ok(),
        options.check().is_ok(),
        "{words:?}: {parsed:?}"
    );
    assert!(parsed.is_err() || parsed == Ok(options));
}

/// Every key that says something, as the file has it.
fn said(options: &ServeOptions) -> Vec<(String, Value)> {
    let texts = texts(options).into_iter();
    let texts = texts.map(|(key, text)| (key, text.map(Value::String)));
    let yes = |flag: bool| flag.then_some(Value::Boolean(true));
    let number = |value| i64::try_from(value).expect("it was one in the file");
    let bytes = options.cache_bytes.map(|it| it as u64).map(number);
    let slots = options.fast_path_slots.map(Value::from);
    let names: Vec<Value> = options
        .interface
        .iter()
        .cloned()
        .map(Value::String)
        .collect();
    let others = [
        ("cache-bytes", bytes.map(Value::Integer)),
        ("fast-path-slots", slots),
        ("no-gso", yes(options.no_gso)),
        ("raw", yes(options.raw)),
        ("tls-disable-verify", yes(options.tls_disable_verify)),
        (
            "interface",
            (!names.is_empty()).then_some(Value::Array(names)),
        ),
    ];
    let said = texts.chain(others);
    said.filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// Those whose values are text.
fn texts(options: &ServeOptions) -> [(&'static str, Option<String>); 13] {
    let path = |it: &Option<PathBuf>| Some(it.as_ref()?.to_str().expect("UTF-8").to_owned());
    let url = |it: &RelayUrl| format!("moqt://{}{}", it.authority(), it.path());
    let fast_path = options.fast_path.and_then(|it| it.to_possible_value());
    let hook = options.fast_path_hook.and_then(|it| it.to_possible_value());
    let word = |it: PossibleValue| it.get_name().to_owned();
    [
        ("bind", options.bind.map(|it| it.to_string())),
        ("tls-cert", path(&options.tls_cert)),
        ("tls-key", path(&options.tls_key)),
        ("tls-generate", options.tls_generate.clone()),
        ("upstream", options.upstream.as_ref().map(url)),
        ("upstream-token", options.upstream_token.clone()),
        ("auth-key", path(&options.auth_key)),
        ("tls-ca", path(&options.tls_ca)),
        ("report", path(&options.report)),
        ("fast-path", fast_path.map(word)),
        ("fast-path-hook", hook.map(word)),
        ("control", path(&options.control)),
        ("qlog", path(&options.qlog)),
    ]
}

/// A key of the file as arguments.
fn arguments(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Boolean(_) => vec![format!("--{key}")],
        Value::Array(values) => values
            .iter()
            .flat_map(|value| arguments(key, value))
            .collect(),
        Value::String(text) => vec![format!("--{key}={text}")],
        other => vec![format!("--{key}={other}")],
    }
}

fn parse(words: &[String]) -> Result<ServeOptions, String> {
    let command = ServeOptions::augment_args(Command::new("serve").no_binary_name(true));
    let matches = command.try_get_matches_from(words);
    let options = matches.and_then(|matches| ServeOptions::from_arg_matches(&matches));
    options.map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Or the property would not notice a key that is forgotten.
    #[test]
    fn every_option_is_a_key_that_is_written_again() {
        let command = ServeOptions::augment_args(Command::new("serve"));
        let shown = command.get_arguments().filter(|it| !it.is_hide_set());
        let mut longs: Vec<_> = shown.map(|it| it.get_long().unwrap().to_owned()).collect();
        let every = "bind='[::]:1'\ntls-cert='a'\ntls-key='b'\ntls-generate='c'\nupstream='moqt://h?jwt=x'\n\
            upstream-token='t'\nauth-key='k'\ncache-bytes=1\nno-gso=true\nraw=true\ntls-disable-verify=true\ntls-ca='d'\n\
            report='-'\nfast-path='off'\ninterface=['e']\nfast-path-hook='tcx'\nfast-path-slots=1\ncontrol='f'\nqlog='g'";
        let options = ServeOptions::from_toml(every).unwrap();
        let mut keys: Vec<_> = said(&options).into_iter().map(|(key, _)| key).collect();
        longs.sort();
        keys.sort();
        assert_eq!(keys, longs);
        config(every.as_bytes());
    }
}
