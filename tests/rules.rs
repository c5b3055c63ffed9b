//! The rules of this repository, as tests: sizes, headers, links, dependencies, compliance. No RFC.
//!
//! What can be checked by a compiler is left to it and to clippy. `book` checks the chapters of `doc/`.

mod book;
mod repository;

use std::collections::BTreeSet;
use std::path::Path;

use repository::{code_spans, files, read, resolve, root, table};

/// Fails with all complaints at once, one a line.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_have_at_most_500_lines() {
    let long = |path: &std::path::PathBuf| {
        let lines = read(path).lines().count();
        (lines > MAX_FILE).then(|| format!("{}: {lines} lines", path.display()))
    };
    none(&files("rs").iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn functions_have_at_most_60_lines() {
    let mut complaints = Vec::new();
    for path in files("rs") {
        for (name, lines) in functions(&read(&path)) {
            if lines > MAX_FUNCTION {
                complaints.push(format!("{}: fn {name}: {lines} lines", path.display()));
            }
        }
    }
    none(&complaints);
}

/// Name and length of each function, from the line with `fn` to the closing brace. Formatted code
/// closes a function where it began, so indentation tells. Not those that are longer for a reason that
/// clippy was told.
fn functions(source: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else {
            continue;
        };
        let is_head = before.is_empty() || before.split_whitespace().all(is_qualifier);
        let name = after.split(['(', '<']).next().unwrap_or_default();
        let is_excused = at > 0 && lines[at - 1].contains("expect(clippy::too_many_lines, reason");
        if is_excused || !is_head || name.is_empty() || line.ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let end = lines[at..].iter().position(|line| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest == "}" || rest.ends_with(';') && rest.starts_with(')'))
        });
        found.push((name.to_owned(), end.map_or(0, |end| end + 1)));
    }
    found
}

fn is_qualifier(word: &str) -> bool {
    word.starts_with("pub")
        || matches!(
            word,
            "const" | "async" | "unsafe" | "in" | "extern" | "\"C\"" | "super)" | "crate)"
        )
}

#[test]
fn every_file_says_what_it_is_and_which_document_it_follows() {
    let mut complaints = Vec::new();
    // Tests may leave it to the file that they test.
    let is_test = |path: &Path| {
        path.iter()
            .any(|part| part == "tests" || part == "tests.rs")
            && !path.starts_with("tests")
    };
    for path in files("rs").into_iter().filter(|path| !is_test(path)) {
        let source = read(&path);
        let header: String = source
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        let named = ["rfc", "draft"]
            .iter()
            .any(|name| header.to_lowercase().contains(name));
        if header.is_empty() {
            complaints.push(format!("{}: does not open with //!", path.display()));
        } else if !named {
            complaints.push(format!(
                "{}: names no RFC, no draft, and not \"No RFC\"",
                path.display()
            ));
        }
    }
    none(&complaints);
}

/// A test that measures may be left out of the usual run, if it says so.
#[test]
fn nothing_is_put_off() {
    // In pieces, or this file would complain about itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["to", "do!("],
        ["unimple", "mented!("],
        ["#[ig", "nore]"],
    ]
    .map(|word| word.concat());
    let mut complaints = Vec::new();
    for path in files("rs") {
        for (number, line) in read(&path).lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                complaints.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    none(&complaints);
}

/// Row 22 of doc/attacks.md. What a peer chooses is hashed with a secret: the standard library's hasher, or, where a
/// run must repeat itself, the one of the endpoint's routes.
#[test]
fn row_22_no_table_has_a_hash_that_a_peer_could_foresee() {
    // In pieces, or this file would complain about itself.
    let words = [
        ["Fx", "Hash"],
        ["fx", "hash"],
        ["Fnv", "Hash"],
        ["ah", "ash"],
        ["fold", "hash"],
        ["no", "hash"],
        ["BuildHasher", "Default"],
        ["Hasher ", "for"],
        ["DefaultHasher", "::new"],
    ]
    .map(|word| word.concat());
    let mut complaints = Vec::new();
    let sources = files("rs").into_iter().chain(files("toml"));
    for path in sources.filter(|path| !path.ends_with("endpoint/routes.rs")) {
        let source = read(&path);
        let found = words.iter().filter(|word| source.contains(word.as_str()));
        complaints.extend(found.map(|word| format!("{}: {word}", path.display())));
    }
    none(&complaints);
}

#[test]
fn relative_links_lead_somewhere() {
    let mut complaints = Vec::new();
    for path in files("md") {
        let (text, folder) = (
            read(&path),
            path.parent().unwrap_or(Path::new("")).to_owned(),
        );
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            let is_relative = !target.is_empty() && !target.contains(':') && !target.contains(' ');
            if is_relative && !root().join(&folder).join(target).exists() {
                complaints.push(format!("{}: {link}", path.display()));
            }
        }
    }
    none(&complaints);
}

#[test]
fn every_dependency_has_its_reason_and_every_reason_its_dependency() {
    let design = read("doc/design.md");
    let rows = table(&design, "dependency");
    let explained: BTreeSet<(String, String)> = rows
        .iter()
        .flat_map(|row| {
            row[1].split(", ").map(|user| {
                (
                    user.trim_matches('`').to_owned(),
                    row[0].trim_matches('`').to_owned(),
                )
            })
        })
        .collect();
    let mut used = BTreeSet::new();
    for path in files("toml")
        .iter()
        .filter(|path| path.ends_with("Cargo.toml"))
    {
        let manifest = read(path);
        let user = path.parent().unwrap_or(Path::new("")).display().to_string();
        used.extend(
            dependencies(&manifest)
                .into_iter()
                .map(|name| (user.clone(), name)),
        );
    }
    let missing = used
        .difference(&explained)
        .map(|(user, name)| format!("{user}/Cargo.toml: {name} has no row in doc/design.md"));
    let stale = explained
        .difference(&used)
        .map(|(user, name)| format!("doc/design.md: {user} does not depend on {name}"));
    none(&missing.chain(stale).collect::<Vec<_>>());
}

/// The dependencies of a manifest that come from a registry.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with("dependencies");
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let is_ours = line.contains("path = ") || line.contains("workspace = true");
            let name = line.split([' ', '=', '.']).next().unwrap_or_default();
            if !is_ours && !name.is_empty() {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn compliance_names_code_and_tests_that_exist() {
    let text = read("doc/compliance.md");
    let rows = table(&text, "section");
    assert!(rows.len() > 50, "the table was not found");
    check_rows(rows);
}

#[test]
fn attacks_name_code_and_tests_that_exist() {
    let text = read("doc/attacks.md");
    let rows = table(&text, "row");
    assert!(rows.len() >= 18, "the table was not found");
    let without_test = rows.iter().filter(|row| !row[3].contains("::"));
    none(&without_test.map(|row| row.join(" | ")).collect::<Vec<_>>());
    check_rows(rows);
}

/// Every limit has its row, with the value of the code and a test that crosses it.
#[test]
fn limits_have_their_values_and_tests() {
    let page = read("doc/limits.md");
    for (source, head, least) in [
        ("quic-lite/src/limits.rs", "limit", 50),
        ("relay/src/limits.rs", "limit of the relay", 40),
    ] {
        check_limits(&read(source), least, table(&page, head));
    }
}

fn check_limits(source: &str, least: usize, rows: Vec<Vec<&str>>) {
    let limits: BTreeSet<(&str, &str)> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';'))
        .filter_map(|limit| limit.split_once(" = "))
        .filter_map(|(name, value)| Some((name.split_once(':')?.0, value)))
        .collect();
    assert!(limits.len() > least, "the limits were not found");
    let told: BTreeSet<(&str, &str)> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`'), row[1].trim_matches('`')))
        .collect();
    let mut complaints: Vec<String> = limits
        .symmetric_difference(&told)
        .map(|(name, value)| format!("{name} = {value}: not alike in code and table"))
        .collect();
    for row in rows {
        let tests = code_spans(row[2]);
        complaints.extend(tests.is_empty().then(|| format!("{}: no test", row[0])));
        complaints.extend(tests.into_iter().filter_map(missing_test));
    }
    none(&complaints);
}

/// Rows of four cells: what, in words, the code, the tests.
fn check_rows(rows: Vec<Vec<&str>>) {
    let mut complaints = Vec::new();
    for row in rows {
        let [section, _, code, tests] = row[..] else {
            complaints.push(format!("{}: not four cells", row[0]));
            continue;
        };
        for path in code_spans(code) {
            if resolve(path).is_none() {
                complaints.push(format!("{section}: no file {path}"));
            }
        }
        for test in code_spans(tests) {
            complaints.extend(missing_test(test).map(|why| format!("{section}: {why}")));
        }
        if code_spans(code).is_empty() {
            complaints.push(format!("{section}: names no code"));
        }
    }
    none(&complaints);
}

#[test]
fn threat_model_names_tests_that_exist() {
    let text = read("doc/threat-model.md");
    let rows = table(&text, "attack on it");
    assert!(rows.len() > 5, "the table was not found");
    let spans = rows.iter().flat_map(|row| code_spans(row[2]));
    none(&spans.filter_map(missing_test).collect::<Vec<_>>());
}

/// Why `file::test` is not a test.
fn missing_test(test: &str) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else {
        return Some(format!("{test} is not of the form file::test"));
    };
    let Some(path) = resolve(path) else {
        return Some(format!("no file {path}"));
    };
    let source = read(path);
    let is_test = source.split("#[test]").skip(1).any(|rest| {
        let head = rest.lines().find(|line| line.contains("fn "));
        head.is_some_and(|head| head.contains(&format!("fn {name}(")))
    });
    (!is_test).then(|| format!("no test {test}"))
}

const MAX_FILE: usize = 500;
/// With its signature and closing brace; clippy counts the lines of code between them.
const MAX_FUNCTION: usize = 62;
