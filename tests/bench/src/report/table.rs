//! Tables, for the page and for the terminal. No RFC.

use serde_json::{Value, json};

use super::page::escape;

/// Rows of text under a head.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Above the table.
    pub(super) title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// So many columns hold words and stand at the left, the others hold figures.
    words: usize,
}

impl Table {
    /// A table without rows; its first `words` columns hold words.
    pub(super) fn new(title: &str, words: usize, head: &[&str]) -> Self {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        Self {
            title: title.to_owned(),
            head,
            rows: Vec::new(),
            words,
        }
    }

    /// One more row.
    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// One more row, if there is one.
    pub(super) fn extend(&mut self, row: Option<Vec<String>>) {
        self.rows.extend(row);
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For programs: each row as an object, figures as numbers.
    pub(super) fn to_json(&self) -> Value {
        let cell = |text: &String| match text.parse::<f64>() {
            Ok(figure) => Value::from(figure),
            Err(_) => Value::from(text.as_str()),
        };
        let row = |row: &Vec<String>| {
            let cells = self.head.iter().cloned().zip(row.iter().map(cell));
            Value::Object(cells.collect())
        };
        let rows = self.rows.iter().map(row).collect::<Vec<_>>();
        json!({ "title": self.title, "rows": rows })
    }

    /// For the terminal.
    pub(super) fn to_text(&self) -> String {
        let widths = self.widths();
        let cell = |(column, (cell, width)): (usize, (&String, &usize))| match column {
            word if word < self.words => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        };
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).enumerate().map(cell);
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        let rows = self.rows.iter().map(line).collect::<String>();
        format!("{}\n{}{rows}", self.title, line(&self.head))
    }

    /// For the page.
    pub(super) fn to_html(&self) -> String {
        let head = self.head.iter().enumerate();
        let head = head
            .map(|(column, name)| self.cell("th", column, name))
            .collect::<String>();
        let row = |row: &Vec<String>| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(column, text)| self.cell("td", column, text));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows = self.rows.iter().map(row).collect::<String>();
        format!(
            "<div class=\"wide\"><table><caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
            escape(&self.title)
        )
    }

    fn cell(&self, tag: &str, column: usize, text: &str) -> String {
        let class = match text {
            REACHED => "reached",
            NOT_REACHED => "not-reached",
            NOT_MEASURED => "not-measured",
            _ if column < self.words => "word",
            _ => "figure",
        };
        format!("<{tag} class=\"{class}\">{}</{tag}>", escape(text))
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let cells = cells.chain(self.head.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        (0..self.head.len()).map(width).collect()
    }
}

/// What became of an aim.
pub(super) const REACHED: &str = "reached";
pub(super) const NOT_REACHED: &str = "not reached";
pub(super) const NOT_MEASURED: &str = "not measured";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_figures_right() {
        let mut table = Table::new("Title", 1, &["path", "µs"]);
        table.push(vec!["kernel".to_owned(), "7".to_owned()]);
        table.push(vec!["userspace".to_owned(), "123".to_owned()]);
        assert_eq!(
            table.to_text(),
            "Title\npath        µs\nkernel       7\nuserspace  123\n"
        );
    }

    #[test]
    fn programs_get_figures_as_numbers() {
        let mut table = Table::new("Title", 1, &["path", "µs", "lost"]);
        table.push(["kernel", "7.5", "–"].map(str::to_owned).into());
        let row = json!({ "path": "kernel", "µs": 7.5, "lost": "–" });
        assert_eq!(table.to_json(), json!({ "title": "Title", "rows": [row] }));
    }

    #[test]
    fn names_cannot_break_the_page() {
        let mut table = Table::new("<b>", 1, &["path"]);
        table.push(vec!["a & <script>".to_owned()]);
        let html = table.to_html();
        assert!(html.contains("&lt;b&gt;") && html.contains("a &amp; &lt;script&gt;"));
    }
}
