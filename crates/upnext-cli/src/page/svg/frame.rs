//! The frame of a plot: its size, ticks and titles of its axes.

use crate::page::html::escape;
use std::fmt::Write;

/// Width of a plot in SVG units. A unit is about a pixel on a phone, so that text is readable there.
pub(super) const WIDTH: f64 = 400.0;
pub(super) const HEIGHT: f64 = 262.0;
pub(super) const LEFT: f64 = 40.0;
pub(super) const TOP: f64 = 24.0;
pub(super) const BOTTOM: f64 = 46.0;

/// Begins an `<svg>` element.
pub(super) fn open(label: &str) -> String {
    format!(r#"<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, escape(label))
}

/// Writes the text of a tick of the horizontal axis; a line break begins a second line.
pub(super) fn tick_text(svg: &mut String, x: f64, text: &str) {
    let mut lines = text.split('\n');
    // Writing to a String cannot fail.
    _ = write!(
        svg,
        r#"<text class="mid" x="{x:.1}" y="{:.1}">{}</text>"#,
        HEIGHT - BOTTOM + 14.0,
        escape(lines.next().unwrap_or_default())
    );
    if let Some(second) = lines.next() {
        _ = write!(
            svg,
            r#"<text class="mid small" x="{x:.1}" y="{:.1}">{}</text>"#,
            HEIGHT - BOTTOM + 25.0,
            escape(second)
        );
    }
}

/// Writes the title of the horizontal axis, which ends `right` before the edge.
pub(super) fn axis_title(svg: &mut String, title: &str, right: f64) {
    let middle = (LEFT + WIDTH - right) / 2.0;
    _ = write!(svg, r#"<text class="mid" x="{middle}" y="{}">{}</text>"#, HEIGHT - 5.0, escape(title));
}

/// Writes the title of the vertical axis, above it.
pub(super) fn y_title(svg: &mut String, title: &str) {
    _ = write!(svg, r#"<text x="0" y="11">{}</text>"#, escape(title));
}

/// 3 to 7 equidistant round numbers that enclose the range.
pub(super) fn nice_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(1e-6 * high.abs()).max(1e-9);
    let power = 10_f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| span / s <= 5.0);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil().max(first + 1.0);
    (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect()
}

/// Formats a number with as many decimals as the step between ticks needs.
pub(super) fn number(value: f64, step: f64) -> String {
    let places = (0..9).find(|&p| {
        let scaled = step * 10_f64.powi(p);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    // Added to 0, so that a rounded −0 has no sign.
    format!("{:.*}", places.unwrap_or(9) as usize, 0.0 + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_the_range() {
        assert_eq!(nice_ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        for (low, high) in [(0.0, 0.0), (0.61, 0.72), (-3.0, 250.0), (5.0, 5.0), (1e-7, 2e-7)] {
            let ticks = nice_ticks(low, high);
            assert!(
                ticks[0] <= low && ticks[ticks.len() - 1] >= high * (1.0 - 1e-6),
                "{low} {high}: {ticks:?}"
            );
            assert!((2..=8).contains(&ticks.len()), "{low} {high}: {ticks:?}");
        }
        assert_eq!(
            (number(0.25, 0.25), number(0.2, 0.1), number(30.0, 10.0)),
            ("0.25".into(), "0.2".into(), "30".into())
        );
    }
}
