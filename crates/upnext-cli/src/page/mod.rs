//! HTML reports: each is one self-contained file, readable on a phone, in print and in dark mode.
//!
//! Everything can be read without scripts. The one script of a page (`script.js`) sorts tables, and its policy allows
//! only that one, by its hash, so that no text can become another.

pub(crate) mod fitted;
mod html;
pub(crate) mod svg;

use crate::output::OutputArgs;
use anyhow::Context;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use upnext_core::comparison::Metric;
use upnext_core::replace::{check_file, replace_file};

pub(crate) use html::{escape, table};

/// The text by which pages of this program are recognised.
const GENERATOR: &str = r#"<meta name="generator" content="upnext"#;

const STYLE: &str = include_str!("style.css");

const SCRIPT: &str = include_str!("script.js");

/// The hash of [`SCRIPT`], which the policy of a page contains: SHA-256 in Base64. A test compares it with the script.
const SCRIPT_HASH: &str = "xLqr7ZC1HE4He0hYK2NBtt29pxKbX03OQmBj0loL09Y=";

/// A page under construction.
pub(crate) struct Page {
    html: String,
}

impl Page {
    /// Begins the page of a command. `style` is CSS that follows the common style sheet.
    pub(crate) fn new(command: &str, title: &str, style: &str) -> Self {
        Self {
            html: format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{GENERATOR} {command}\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n\
                 <title>{}</title>\n<style>\n{STYLE}{style}</style></head><body>\n",
                escape(title)
            ),
        }
    }

    /// Appends HTML unchanged.
    pub(crate) fn raw(&mut self, html: &str) {
        self.html.push_str(html);
    }

    /// Appends a section, unless its body is empty.
    pub(crate) fn section(&mut self, id: &str, title: &str, body: &str) {
        if !body.is_empty() {
            // Writing to a String cannot fail.
            _ = writeln!(self.html, "<section id=\"{id}\"><h2>{title}</h2>{body}</section>");
        }
    }

    /// Completes the page and returns its HTML.
    pub(crate) fn finish(mut self) -> String {
        _ = writeln!(self.html, "<script>{SCRIPT}</script></body></html>");
        self.html
    }
}

/// A legend of the models in the plots, with a check box to hide each, which works by CSS alone.
pub(crate) struct Legend {
    /// The legend's HTML.
    pub(crate) html: String,
    /// CSS rules that hide a model whose box is not checked.
    pub(crate) style: String,
}

impl Legend {
    /// A legend of models, given by their numbers in the plots and their names. The boxes of the first `shown` are checked.
    pub(crate) fn new<'a>(label: &str, shown: usize, models: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut html =
            format!("<nav class=\"legend\" aria-label=\"{label}\"><span>Show in these plots:</span>");
        let mut style = String::new();
        let models: Vec<_> = models.collect();
        for (place, &(m, name)) in models.iter().enumerate() {
            let (mark, name) = (svg::sample(m), escape(name));
            let checked = if place < shown { " checked" } else { "" };
            _ = write!(html, "<label><input type=\"checkbox\" id=\"show{m}\"{checked}>{mark}{name}</label>");
            _ = writeln!(style, "body:has(#show{m}:not(:checked)) svg .m{m}{{display:none}}");
        }
        html.push_str("</nav>\n");
        if models.len() < 2 {
            // There is nothing to choose from.
            html.clear();
        }
        Self { html, style }
    }
}

/// A plot with a caption; both are HTML.
pub(crate) fn figure(caption: &str, svg: &str) -> String {
    format!("<figure><figcaption>{caption}</figcaption>{svg}</figure>")
}

/// Figures side by side, as many as fit into a row.
pub(crate) fn side_by_side(figures: &str) -> String {
    format!("<div class=\"plots\">{figures}</div>")
}

/// The name of a metric for headings.
pub(crate) fn shown(metric: Metric) -> &'static str {
    match metric {
        Metric::Recall => "Recall",
        Metric::Mrr => "MRR",
        Metric::Ndcg => "NDCG",
    }
}

/// Formats a fraction as a percentage with two decimals.
pub(crate) fn percent(x: f64) -> String {
    format!("{:.2}", x * 100.0)
}

/// Checks that a page can be written, and that it would replace only an earlier page. Called before long computations.
pub(crate) fn check(file: &Path) -> anyhow::Result<()> {
    check_file(file)?;
    match std::fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{}: cannot be read", file.display())),
        Ok(bytes) if bytes.is_empty() || String::from_utf8_lossy(&bytes).contains(GENERATOR) => Ok(()),
        Ok(_) => {
            anyhow::bail!("{}: exists and is no report of upnext: choose another name", file.display())
        }
    }
}

/// Writes the page of a result, if a file is given for it, and prints the result with the name of that file.
pub(crate) fn write_and_print<T: Serialize>(
    file: Option<&Path>,
    output: &OutputArgs,
    result: &T,
    page: impl FnOnce(&T) -> String,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if let Some(file) = file {
        write(file, &page(result))?;
    }
    output.print(result, |result| {
        let report = file.map_or(String::new(), |file| format!("report in {}\n", file.display()));
        text(result) + &report
    })
}

/// Writes a page atomically.
pub(crate) fn write(file: &Path, page: &str) -> upnext_core::Result<()> {
    replace_file(file, |mut out| {
        out.write_all(page.as_bytes()).map_err(upnext_core::Error::io(file, "write"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    #[test]
    fn the_policy_of_a_page_allows_its_script_and_no_other() {
        let hash = ring::digest::digest(&ring::digest::SHA256, SCRIPT.as_bytes());
        assert_eq!(
            base64::engine::general_purpose::STANDARD.encode(hash),
            SCRIPT_HASH,
            "put it into SCRIPT_HASH"
        );
        let page = Page::new("test", "<script>", "").finish();
        assert_eq!(page.matches("<script>").count(), 1);
        assert!(page.contains(&format!("script-src 'sha256-{SCRIPT_HASH}'")) && !page.contains("'self'"));
    }
}
