//! The chapters of `doc/`: their form, the code and the outputs they show, the names they use. No RFC.
//!
//! A fence ` ```rs (PATH) ` shows lines that stand in that file, in this order and without a gap but
//! for `…`. A fence ` ```console ` shows commands after `$ ` and exactly what they print. Fences
//! ` ```rust ` are doctests of this crate's library.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use super::none;
use super::repository::{code_spans, files, read, resolve, root};

/// A fenced block: what stands after the backticks, and its lines.
struct Block {
    info: String,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let fences: Vec<&str> = markdown.split("```").collect();
    let inside = fences.iter().skip(1).step_by(2);
    let split = inside.filter_map(|block| block.split_once('\n'));
    split
        .map(|(info, text)| Block {
            info: info.to_owned(),
            text: text.to_owned(),
        })
        .collect()
}

/// The pages of the book.
fn pages() -> Vec<PathBuf> {
    let pages = files("md")
        .into_iter()
        .filter(|path| path.starts_with("doc"));
    pages.collect()
}

/// The numbered pages but the first, which is the map.
fn chapters() -> Vec<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.get(..2)?.parse::<u32>().ok();
    let mut chapters = pages();
    chapters.retain(|path| number(path).is_some_and(|number| number > 0));
    chapters
}

#[test]
fn chapters_have_the_seven_parts_on_at_most_150_lines() {
    let parts = [
        "In one sentence",
        "In the RFC",
        "In our code",
        "See it",
        "Predict",
        "Break it",
        "What we left out",
    ];
    let mut complaints = Vec::new();
    assert!(chapters().len() >= 10, "the chapters were not found");
    for path in chapters() {
        let text = read(&path);
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        if headings != parts {
            complaints.push(format!("{}: {headings:?}", path.display()));
        }
        if text.lines().count() > 150 {
            complaints.push(format!("{}: more than 150 lines", path.display()));
        }
    }
    none(&complaints);
}

#[test]
fn shown_code_stands_in_the_file_it_is_from() {
    let mut complaints = Vec::new();
    for path in pages() {
        for block in blocks(&read(&path)) {
            let path_of =
                |info: &'_ str| Some(info.split_once(" (")?.1.strip_suffix(')')?.to_owned());
            let Some(source) = path_of(&block.info) else {
                continue;
            };
            let Some(file) = resolve(&source) else {
                complaints.push(format!("{}: no file {source}", path.display()));
                continue;
            };
            if let Some(missing) = first_missing(&block.text, &read(file)) {
                complaints.push(format!("{}: not in {source}:\n{missing}", path.display()));
            }
        }
    }
    none(&complaints);
}

/// The first piece between `…` lines that does not stand in `source` behind the piece before it.
/// Indentation and blank lines do not count.
fn first_missing(shown: &str, source: &str) -> Option<String> {
    let bare = |text: &str| -> String {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let source = bare(source);
    let mut rest = source.as_str();
    let shown = bare(shown);
    for piece in shown.split("…\n").filter(|piece| !piece.is_empty()) {
        let Some(at) = rest.find(piece) else {
            return Some(piece.to_owned());
        };
        rest = &rest[at + piece.len()..];
    }
    None
}

#[test]
fn shown_outputs_are_what_the_commands_print() {
    let mut complaints = Vec::new();
    let mut commands = 0;
    for path in pages() {
        let text = read(&path);
        for (command, expected) in console(&text) {
            let printed = run(&command);
            commands += 1;
            if printed.trim_end() != expected.trim_end() {
                complaints.push(format!("{}: $ {command}\n{printed}", path.display()));
            }
        }
    }
    assert!(commands > 20, "no commands were found");
    none(&complaints);
}

/// The commands of a page and what it says that they print.
fn console(markdown: &str) -> Vec<(String, String)> {
    let mut steps = Vec::new();
    for block in blocks(markdown)
        .iter()
        .filter(|block| block.info == "console")
    {
        for step in block.text.split("$ ").skip(1) {
            let (command, expected) = step.split_once('\n').unwrap_or((step, ""));
            steps.push((command.to_owned(), expected.to_owned()));
        }
    }
    steps
}

/// What a command prints. Only our examples are run: nothing here asks the network or a clock.
fn run(command: &str) -> String {
    assert!(
        command.starts_with("cargo run -q --example "),
        "$ {command}"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(root());
    // What cargo tells a test of its package would make a second cargo build everything anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let of_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if of_package.iter().any(|prefix| name.starts_with(prefix)) {
            shell.env_remove(&*name);
        }
    }
    let output = shell.output().expect("sh runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn files_and_names_that_the_book_mentions_exist() {
    let sources: Vec<String> = files("rs").iter().map(read).collect();
    let words = |text: &'static str| text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let known: HashSet<&str> = sources.leak().iter().flat_map(|text| words(text)).collect();
    let mut complaints = Vec::new();
    for path in pages() {
        for span in code_spans(&read(&path)) {
            let is_path = span.contains('/')
                && [".rs", ".hex", ".toml"]
                    .iter()
                    .any(|end| span.ends_with(end));
            let is_name = span.matches('_').count() >= 2
                && span.chars().all(|c| c.is_alphanumeric() || c == '_');
            if is_path && !span.contains('*') && resolve(span).is_none() {
                complaints.push(format!("{}: no file {span}", path.display()));
            }
            if is_name && !known.contains(span) {
                complaints.push(format!("{}: nothing is called {span}", path.display()));
            }
        }
    }
    none(&complaints);
}
