//! What tells models apart in plots: a colour, dashes and a marker.

use std::fmt::Write;

/// Number of marker shapes. With 7 colours, a combination repeats after 63 series.
const SHAPES: usize = 9;

/// The CSS classes for the colour and dashes of a model.
pub(super) fn style(model: usize) -> String {
    format!("c{} d{}", model % 7, model / 2 % 4)
}

/// The marker of a model for a legend.
pub(crate) fn sample(model: usize) -> String {
    let mut svg = format!(
        r#"<svg class="sample {}" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true"><line class="line" x1="0" x2="34" y1="7" y2="7"/>"#,
        style(model)
    );
    mark(&mut svg, model, 17.0, 7.0);
    svg.push_str("</svg>");
    svg
}

/// Draws the marker of a model.
pub(super) fn mark(svg: &mut String, model: usize, x: f64, y: f64) {
    let path = |points: &[(f64, f64)]| -> String {
        points.iter().map(|(dx, dy)| format!("{:.1},{:.1} ", x + dx, y + dy)).collect()
    };
    let polygon =
        |points: &[(f64, f64)]| format!(r#"<polygon class="mark" points="{}"/>"#, path(points).trim_end());
    let strokes = |d: &str| format!(r#"<path class="cross" transform="translate({x:.1} {y:.1})" d="{d}"/>"#);
    // Writing to a String cannot fail.
    _ = write!(
        svg,
        "{}",
        match model % SHAPES {
            0 => format!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="3.6"/>"#),
            1 => polygon(&[(-3.4, -3.4), (3.4, -3.4), (3.4, 3.4), (-3.4, 3.4)]),
            2 => polygon(&[(0.0, -4.4), (4.2, 3.2), (-4.2, 3.2)]),
            3 => polygon(&[(0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)]),
            4 => polygon(&[(0.0, 4.4), (4.2, -3.2), (-4.2, -3.2)]),
            5 => strokes("M-3.6-3.6 3.6 3.6M-3.6 3.6 3.6-3.6"),
            6 => strokes("M-4.6 0H4.6M0-4.6V4.6"),
            7 => format!(r#"<circle class="hollow" cx="{x:.1}" cy="{y:.1}" r="3.6"/>"#),
            _ => format!(
                r#"<rect class="hollow" x="{:.1}" y="{:.1}" width="7" height="7"/>"#,
                x - 3.5,
                y - 3.5
            ),
        }
    );
}
