//! Pages to look at in a browser: one file that needs nothing else, readable on a phone, in print and in the dark.
//!
//! A page has no script; what can be switched works by style alone.

mod html;
pub(crate) mod svg;

use anyhow::Context;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use upnext_core::replace::{check_file, replace_file};

pub(crate) use html::{escape, table};

/// What tells a page of this program from any other file.
const GENERATOR: &str = r#"<meta name="generator" content="upnext"#;

const STYLE: &str = include_str!("style.css");

/// A page under way.
pub(crate) struct Page {
    html: String,
}

impl Page {
    /// A page of a command; `style` comes after that of all pages.
    pub(crate) fn new(command: &str, title: &str, style: &str) -> Self {
        Self {
            html: format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{GENERATOR} {command}\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n\
                 <title>{}</title>\n<style>\n{STYLE}{style}</style></head><body>\n",
                escape(title)
            ),
        }
    }

    /// Puts HTML as it is.
    pub(crate) fn raw(&mut self, html: &str) {
        self.html.push_str(html);
    }

    /// Puts a section, unless it is empty.
    pub(crate) fn section(&mut self, id: &str, title: &str, body: &str) {
        if !body.is_empty() {
            // Writing to a String cannot fail.
            _ = writeln!(self.html, "<section id=\"{id}\"><h2>{title}</h2>{body}</section>");
        }
    }

    /// The page as text.
    pub(crate) fn finish(mut self) -> String {
        self.html.push_str("</body></html>\n");
        self.html
    }
}

/// The models of the plots by their marks, each with a box that shows and hides it, by style alone.
pub(crate) struct Legend {
    /// The element.
    pub(crate) html: String,
    /// The rules that hide a model where its box is not checked.
    pub(crate) style: String,
}

impl Legend {
    /// A legend of models, each by its number in the plots and its name.
    pub(crate) fn new<'a>(label: &str, models: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut html =
            format!("<nav class=\"legend\" aria-label=\"{label}\"><span>Show in the plots:</span>");
        let mut style = String::new();
        for (m, name) in models {
            let (mark, name) = (svg::sample(m), escape(name));
            _ = write!(html, "<label><input type=\"checkbox\" id=\"show{m}\" checked>{mark}{name}</label>");
            _ = writeln!(style, "body:has(#show{m}:not(:checked)) svg .m{m}{{display:none}}");
        }
        html.push_str("</nav>\n");
        Self { html, style }
    }
}

/// A plot with its title; both are HTML.
pub(crate) fn figure(caption: &str, svg: &str) -> String {
    format!("<figure><figcaption>{caption}</figcaption>{svg}</figure>")
}

/// Plots side by side, as far as there is room.
pub(crate) fn side_by_side(figures: &str) -> String {
    format!("<div class=\"plots\">{figures}</div>")
}

/// A share in percent, with two decimals.
pub(crate) fn percent(x: f64) -> String {
    format!("{:.2}", x * 100.0)
}

/// Whether a page can be written, and nothing but an earlier page is lost by it: asked before the work, not after it.
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

/// Writes a page as a whole or not at all.
pub(crate) fn write(file: &Path, page: &str) -> upnext_core::Result<()> {
    replace_file(file, |mut out| {
        out.write_all(page.as_bytes()).map_err(upnext_core::Error::io(file, "write"))
    })
}
