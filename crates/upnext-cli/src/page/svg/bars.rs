//! Bar charts.

use super::frame::{BOTTOM, HEIGHT, LEFT, TOP, WIDTH, axis_title, nice_ticks, open, tick_text, y_title};
use crate::page::html::escape;
use std::fmt::Write;

/// Distance of the bars from the right edge.
const RIGHT: f64 = 10.0;

/// A bar chart: for each of `names` one bar of every group, such as train and test.
pub(crate) fn bars(label: &str, x_title: &str, names: &[String], groups: &[(&str, Vec<f64>)]) -> String {
    let high = groups.iter().flat_map(|(_, heights)| heights).fold(0.0, |a: f64, &b| a.max(b));
    let ticks = nice_ticks(0.0, high.max(1e-9));
    let high = ticks[ticks.len() - 1];
    let y = |value: f64| HEIGHT - BOTTOM - value / high * (HEIGHT - TOP - BOTTOM);
    let mut svg = open(label);
    for &tick in &ticks {
        let at = y(tick);
        _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text class="end" x="{:.1}" y="{:.1}">{:.0}</text>"#,
            WIDTH - RIGHT,
            LEFT - 5.0,
            at + 4.0,
            tick * 100.0
        );
    }
    let room = (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
    let width = room * 0.8 / groups.len().max(1) as f64;
    for (i, name) in names.iter().enumerate() {
        let left = LEFT + room * (i as f64 + 0.1);
        for (g, (group, heights)) in groups.iter().enumerate() {
            let height = heights.get(i).copied().unwrap_or(0.0);
            _ = write!(
                svg,
                r#"<rect class="bar{g}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"><title>{} {}: {:.1} %</title></rect>"#,
                left + width * g as f64,
                y(height),
                width,
                HEIGHT - BOTTOM - y(height),
                escape(group),
                escape(name),
                height * 100.0
            );
        }
        tick_text(&mut svg, left + room * 0.4, name);
    }
    axis_title(&mut svg, x_title, RIGHT);
    y_title(&mut svg, "%");
    svg.push_str("</svg>");
    svg
}
