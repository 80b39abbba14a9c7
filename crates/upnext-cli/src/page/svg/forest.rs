//! A forest plot: differences from a reference with their intervals, one row each. It is a table whose rows can be read
//! without the plot.

use super::frame::{nice_ticks, number};
use crate::page::html::escape;
use std::fmt::Write;

/// A row of a forest plot.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) name: String,
    /// The row's own figure, as text.
    pub(crate) figure: String,
    /// The difference from the reference in percentage points; `None` for the reference itself.
    pub(crate) difference: Option<f64>,
    /// The interval of the difference, in the same unit.
    pub(crate) low_high: Option<(f64, f64)>,
}

/// A forest plot with a caption and a title of its axis. Both are HTML, and names are texts.
pub(crate) fn forest(caption: &str, axis: &str, rows: &[Difference]) -> String {
    let (low, high) = range(rows);
    let ticks = nice_ticks(low, high);
    let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
    // Space for half a marker and half a tick's text at both ends.
    let place = |x: f64| 4.0 + 92.0 * ((x - low) / (high - low)).max(0.0);
    let grid: String = ticks
        .iter()
        .map(|&tick| {
            let class = if tick.abs() < 1e-9 { "axis" } else { "grid" };
            format!(r#"<line class="{class}" x1="{0:.2}%" x2="{0:.2}%" y1="0" y2="100%"/>"#, place(tick))
        })
        .collect();
    let mut html = format!(
        "<figure class=\"wide\"><figcaption>{caption}</figcaption><div class=\"scroll\" tabindex=\"0\"><table class=\"forest\"><tbody>"
    );
    for row in rows {
        let class = match (row.difference, row.low_high) {
            (None, _) => "first",
            (_, Some((low, high))) if low > 0.0 || high < 0.0 => {
                if low > 0.0 {
                    "ahead"
                } else {
                    "behind"
                }
            }
            _ => "same",
        };
        let mut plot = grid.clone();
        let difference = row.difference.unwrap_or_default();
        let at = place(difference);
        if let Some((low, high)) = row.low_high {
            // Writing to a String cannot fail.
            _ = write!(
                plot,
                r#"<line class="bar" x1="{:.2}%" x2="{:.2}%" y1="50%" y2="50%"/>"#,
                place(low),
                place(high)
            );
        }
        if difference < low {
            // Left of the axis: an arrow at its end.
            plot.push_str(r#"<text class="out" x="0" y="50%" dy=".35em">◀</text>"#);
        } else {
            _ = write!(plot, r#"<circle cx="{at:.2}%" cy="50%" r="4"/>"#);
        }
        let text = match (row.difference, row.low_high) {
            (None, _) => "the first".to_owned(),
            (Some(difference), Some((low, high))) => {
                format!("{} <small>{} to {}</small>", signed(difference), signed(low), signed(high))
            }
            (Some(difference), None) => format!("{} <small>?</small>", signed(difference)),
        };
        _ = write!(
            html,
            "<tr class=\"{class}\"><th scope=\"row\">{}<small>{}</small></th><td class=\"interval\"><svg aria-hidden=\"true\">{plot}</svg></td><td>{text}</td></tr>",
            escape(&row.name),
            escape(&row.figure)
        );
    }
    let step = ticks[1] - ticks[0];
    let texts: String = ticks
        .iter()
        .enumerate()
        .map(|(number, &tick)| {
            // Every second one is hidden where there is no room.
            let zero = ticks.iter().position(|tick| tick.abs() < 1e-9).unwrap_or(0);
            let class = if number.abs_diff(zero) % 2 == 0 { "mid" } else { "mid between" };
            format!(
                r#"<text class="{class}" x="{:.2}%" y="12">{}</text>"#,
                place(tick),
                signed_tick(tick, step)
            )
        })
        .collect();
    _ = write!(
        html,
        "</tbody><tfoot><tr><td></td><td class=\"interval\"><svg aria-hidden=\"true\">{texts}</svg></td><td></td></tr></tfoot></table></div><p class=\"axis-title\">{axis}</p></figure>"
    );
    html
}

/// The range of the axis. A few rows that are far behind all others would press these together, so that they may be left of it.
fn range(rows: &[Difference]) -> (f64, f64) {
    let ends = |row: &Difference| row.low_high.or(row.difference.map(|d| (d, d))).unwrap_or_default();
    let mut lows: Vec<f64> = rows.iter().map(|row| ends(row).0.min(0.0)).filter(|x| x.is_finite()).collect();
    let high = rows.iter().map(|row| ends(row).1).filter(|x| x.is_finite()).fold(0.0, f64::max);
    lows.sort_by(|a, b| b.total_cmp(a));
    let usual = lows.get(lows.len() * 3 / 4).copied().unwrap_or_default();
    let low = lows.iter().copied().filter(|&low| low >= 2.0 * usual).fold(0.0, f64::min);
    (low, high)
}

/// Formats a difference with its sign; a minus is as wide as a plus.
pub(crate) fn signed(x: f64) -> String {
    // Rounded first, so that a small negative number does not become −0.00.
    let rounded = (x * 100.0).round() / 100.0 + 0.0;
    format!("{rounded:+.2}").replace('-', "−")
}

fn signed_tick(x: f64, step: f64) -> String {
    let text = number(x, step).replace('-', "−");
    if x > 1e-9 { format!("+{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_far_behind_is_an_arrow_and_the_others_keep_their_room() {
        let row = |difference: f64| Difference {
            name: "x".into(),
            figure: String::new(),
            difference: Some(difference),
            low_high: Some((difference - 0.5, difference + 0.5)),
        };
        let rows: Vec<Difference> = [0.1, -1.0, -2.0, -2.5, -3.0, -40.0].map(row).to_vec();
        assert_eq!(range(&rows), (-3.5, 0.6));
        let html = forest("", "", &rows);
        assert_eq!((html.matches("class=\"out\"").count(), html.matches("<circle").count()), (1, 5));
        assert_eq!(range(&rows[5..]), (-40.5, 0.0));
    }

    #[test]
    fn rows_say_in_words_and_colour_on_which_side_of_the_reference_they_are() {
        let row = |name: &str, difference, low_high| Difference {
            name: name.into(),
            figure: "1 %".into(),
            difference,
            low_high,
        };
        let html = forest(
            "MRR",
            "points",
            &[
                row("<b>", None, None),
                row("near", Some(-0.1), Some((-0.5, 0.3))),
                row("far", Some(-2.0), Some((-2.5, -1.5))),
                row("over", Some(0.2), Some((0.1, 0.3))),
            ],
        );
        let classes: Vec<&str> =
            html.split("<tr class=\"").skip(1).filter_map(|row| row.split('"').next()).collect();
        assert_eq!(classes, ["first", "same", "behind", "ahead"]);
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && !html.contains("NaN"), "{html}");
        assert!(html.contains("−2.00 <small>−2.50 to −1.50</small>") && html.contains(">+0.20 "), "{html}");
    }
}
