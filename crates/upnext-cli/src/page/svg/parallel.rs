//! Parallel coordinates: a line a trial, from its values to its figure.

use crate::page::html::escape;
use std::fmt::Write;

/// An axis of a parallel-coordinates plot.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) name: String,
    /// Ticks: position from 0 (bottom) to 1, and text.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A parallel-coordinates plot. Each line has a class, its positions on the axes from 0 to 1, and a tooltip.
pub(crate) fn parallel(label: &str, axes: &[Axis], lines: &[(String, Vec<f64>, String)]) -> String {
    const LEFT: f64 = 46.0;
    const TOP: f64 = 10.0;
    const BOTTOM: f64 = 46.0;
    const STEP: f64 = 120.0;
    const TALL: f64 = 300.0;
    let x = |axis: usize| LEFT + STEP * axis as f64;
    let y = |place: f64| TALL - BOTTOM + 20.0 - place * (TALL - TOP - BOTTOM);
    let width = x(axes.len().saturating_sub(1)) + LEFT + 30.0;
    let mut svg = format!(
        r#"<svg class="parallel" viewBox="0 0 {width} {TALL}" style="min-width:{:.0}px" role="img" aria-label="{}">"#,
        width * 0.9,
        escape(label)
    );
    for (class, places, title) in lines {
        let points: Vec<String> = places
            .iter()
            .enumerate()
            .map(|(axis, &place)| format!("{:.1},{:.1}", x(axis), y(place)))
            .collect();
        // Writing to a String cannot fail.
        _ = write!(
            svg,
            r#"<polyline class="{class}" points="{}"><title>{}</title></polyline>"#,
            points.join(" "),
            escape(title)
        );
    }
    for (at, axis) in axes.iter().enumerate() {
        _ = write!(
            svg,
            r#"<line class="axis" x1="{0}" x2="{0}" y1="{1:.1}" y2="{2:.1}"/><text class="mid" x="{0}" y="{3}">{4}</text>"#,
            x(at),
            y(0.0),
            y(1.0),
            TOP + 4.0,
            escape(&axis.name)
        );
        for (place, text) in &axis.ticks {
            _ = write!(
                svg,
                r#"<text class="small halo" x="{:.1}" y="{:.1}">{}</text>"#,
                x(at) + 4.0,
                y(*place) + 3.0,
                escape(text)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}
