//! The page: sections with pictures and tables in one file that needs no other. No RFC.

use super::paths::dark_rules;
use super::table::Table;
use crate::results::Results;

/// A part of the report.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// Its head.
    pub(super) title: &'static str,
    /// How to read its pictures.
    pub(super) reading: &'static str,
    /// Under each other.
    pub(super) parts: Vec<Part>,
}

/// A picture and the same in figures.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// None if figures say enough.
    pub(super) picture: Option<Picture>,
    /// Below the picture.
    pub(super) tables: Vec<Table>,
}

/// A picture with what stands above it.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Which case it shows.
    pub(super) caption: String,
    /// As SVG.
    pub(super) svg: String,
}

impl Section {
    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.tables().next().is_none()
    }

    /// All tables that hold something.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        let tables = self.parts.iter().flat_map(|part| &part.tables);
        tables.filter(|table| !table.is_empty())
    }

    fn to_html(&self) -> String {
        let parts = self.parts.iter().map(Part::to_html).collect::<String>();
        let (title, reading) = (self.title, self.reading);
        format!("<section>\n<h2>{title}</h2>\n<p>{reading}</p>\n{parts}</section>\n")
    }
}

impl Part {
    fn to_html(&self) -> String {
        let picture = |picture: &Picture| {
            let (caption, svg) = (escape(&picture.caption), &picture.svg);
            format!(
                "<figure><figcaption>{caption}</figcaption>\n<div class=\"wide\">{svg}</div></figure>\n"
            )
        };
        let picture = self.picture.as_ref().map(picture).unwrap_or_default();
        let tables = self.tables.iter().filter(|table| !table.is_empty());
        picture + &tables.map(Table::to_html).collect::<String>()
    }
}

/// The whole page.
pub(super) fn page(results: &Results, aims: &Table, sections: &[Section]) -> String {
    let machine = escape(&machine(results));
    let left_out = results.left_out.iter();
    let left_out = left_out.map(|reason| format!("<p>Left out: {}</p>\n", escape(reason)));
    let left_out = left_out.collect::<String>();
    let rules = dark_rules();
    let sections = sections.iter().map(Section::to_html).collect::<String>();
    let aims = aims.to_html();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Relay paths side by side</title>\n\
         <style>\n{STYLE}@media (prefers-color-scheme: dark) {{\n{rules}}}\n</style>\n</head>\n<body>\n\
         <h1>Relay paths side by side</h1>\n<p>{machine}</p>\n<p>{HOW}</p>\n{left_out}\
         <section>\n<h2>Aims</h2>\n{aims}</section>\n{sections}</body>\n</html>\n"
    )
}

/// One line on where and how long.
pub(super) fn machine(results: &Results) -> String {
    let machine = &results.machine;
    let minutes = results.seconds / 60.0;
    format!(
        "{} processors ({}), Linux {}; {minutes:.1} minutes",
        machine.cpus, machine.model, machine.kernel
    )
}

/// Text that a page can hold.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const HOW: &str = "All paths took turns in one run on one machine, so compare them with each other; a figure \
                   alone says little. Figures are medians unless a head says otherwise.";

const STYLE: &str = "\
:root { --ink: #1f2328; --soft: #57606a; --paper: #ffffff; --line: #d0d7de; --good: #116329; --bad: #a40e26; }
@media (prefers-color-scheme: dark) {
:root { --ink: #e6e8eb; --soft: #a3a9b1; --paper: #14171b; --line: #343a42; --good: #5fd58a; --bad: #ff8f88; }
}
body { color: var(--ink); background: var(--paper); font: 16px/1.5 sans-serif; max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .3rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
figure { margin: 1.2rem 0; }
figcaption, caption { font-weight: 600; text-align: left; margin-bottom: .3rem; }
.wide { overflow-x: auto; }
svg { display: block; max-width: 100%; min-width: 700px; height: auto; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; vertical-align: bottom; }
th { white-space: normal; color: var(--soft); font-weight: 600; }
.word { text-align: left; }
.reached { color: var(--good); font-weight: 600; }
.not-reached { color: var(--bad); font-weight: 600; }
.not-measured { color: var(--soft); }
";
