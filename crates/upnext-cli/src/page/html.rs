//! HTML escaping and tables.

/// Escapes text for an element or a quoted attribute: ids may contain any characters.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            // Control characters are invisible and not allowed in HTML.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An HTML table whose first column has the row headings. Cells are HTML.
pub(crate) fn table(class: &str, headings: &[String], rows: &[Vec<String>]) -> String {
    let mut html = format!(r#"<div class="scroll" tabindex="0"><table class="{class}"><thead><tr>"#);
    headings.iter().for_each(|heading| html.push_str(&format!(r#"<th scope="col">{heading}</th>"#)));
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let cell =
                if i == 0 { format!(r#"<th scope="row">{cell}</th>"#) } else { format!("<td>{cell}</td>") };
            html.push_str(&cell);
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escape("<a href='x'>\"&\u{7}ä"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}ä");
    }
}
