//! SVG plots: lines with intervals, scatter plots, bars, and parallel coordinates.
//!
//! Plotting libraries write colours and font sizes into every element, where dark mode, print and the check boxes of
//! the legend cannot change them. Here elements have classes, and `style.css` has the colours.

use super::html::escape;
use crate::output::seconds;
use std::fmt::Write;
use upnext_core::artifact::EpochSummary;

/// Width of a plot in SVG units. A unit is about a pixel on a phone, so that text is readable there.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 46.0;

/// Number of marker shapes. With 7 colours, a combination repeats after 63 series.
const SHAPES: usize = 9;

/// A point with its confidence interval.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low_high: Option<(f64, f64)>,
    /// Tooltip.
    pub(crate) title: String,
}

/// A line with markers.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// The number of the model, which determines colour, dashes and marker.
    pub(crate) model: usize,
    pub(crate) points: Vec<Point>,
}

/// A plot of several series.
#[derive(Clone, Debug)]
pub(crate) struct Plot<'a> {
    /// Description for screen readers.
    pub(crate) label: &'a str,
    pub(crate) x_title: &'a str,
    /// Ticks of the horizontal axis: position and text, in which a line break begins a second line.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) x_range: (f64, f64),
    /// Whether the vertical axis begins at 0.
    pub(crate) from_zero: bool,
    /// Whether to draw the line y = x.
    pub(crate) diagonal: bool,
    pub(crate) lines: bool,
    pub(crate) series: Vec<Series>,
}

impl Plot<'_> {
    /// Renders the `<svg>` element.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let ends = points().flat_map(|p| {
            let (low, high) = p.low_high.unwrap_or((p.y, p.y));
            [p.y, low, high]
        });
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        ends.filter(|y| y.is_finite()).for_each(|y| (low, high) = (low.min(y), high.max(y)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if self.from_zero {
            low = low.min(0.0);
        }
        let y_ticks = nice_ticks(low, high);
        let (low, high) = (y_ticks[0], y_ticks[y_ticks.len() - 1]);
        let x = |value: f64| {
            let (from, to) = self.x_range;
            LEFT + (value - from) / (to - from).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT)
        };
        let y = |value: f64| HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);

        let mut svg = open(self.label);
        let step = y_ticks[1] - y_ticks[0];
        for &tick in &y_ticks {
            let at = y(tick);
            // Writing to a String cannot fail.
            _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="end" x="{:.1}" y="{:.1}">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 5.0,
                at + 4.0,
                number(tick, step)
            );
        }
        for (place, text) in &self.ticks {
            tick_text(&mut svg, x(*place), text);
        }
        axis_title(&mut svg, self.x_title);
        if self.diagonal {
            let (from, to) = (self.x_range.0.max(low), self.x_range.1.min(high));
            _ = write!(
                svg,
                r#"<line class="diagonal" x1="{:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                x(from),
                x(to),
                y(from),
                y(to)
            );
        }
        for series in &self.series {
            self.draw(&mut svg, series, &x, &y);
        }
        svg.push_str("</svg>");
        svg
    }

    fn draw(&self, svg: &mut String, series: &Series, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let model = series.model;
        _ = write!(svg, r#"<g class="m{model} {}">"#, style(model));
        if self.lines && series.points.len() > 1 {
            let places: Vec<String> =
                series.points.iter().map(|p| format!("{:.1},{:.1}", x(p.x), y(p.y))).collect();
            _ = write!(svg, r#"<polyline class="line" points="{}"/>"#, places.join(" "));
        }
        for point in &series.points {
            let (px, py) = (x(point.x), y(point.y));
            svg.push_str("<g>");
            if let Some((low, high)) = point.low_high {
                _ = write!(
                    svg,
                    r#"<line class="bar" x1="{px:.1}" x2="{px:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                    y(low),
                    y(high)
                );
            }
            mark(svg, model, px, py);
            _ = write!(svg, "<title>{}</title></g>", escape(&point.title));
        }
        svg.push_str("</g>");
    }
}

/// A plot of a model's training loss by epoch.
pub(crate) fn loss_by_epoch(model: usize, name: &str, epochs: &[EpochSummary]) -> String {
    let points = epochs.iter().map(|epoch| Point {
        x: epoch.epoch as f64,
        y: epoch.loss,
        low_high: None,
        title: format!("epoch {}: loss {:.4}, {} s", epoch.epoch, epoch.loss, seconds(epoch.seconds)),
    });
    let last = epochs.len().max(1);
    let step = last.div_ceil(10);
    Plot {
        label: &format!("Loss of {name} by epoch"),
        x_title: "epoch",
        ticks: (1..=last).filter(|e| e % step == 0 || last < 10).map(|e| (e as f64, e.to_string())).collect(),
        x_range: (0.5, last as f64 + 0.5),
        from_zero: false,
        diagonal: false,
        lines: true,
        series: vec![Series { model, points: points.collect() }],
    }
    .svg()
}

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
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text class="end" x="{:.1}" y="{:.1}">{:.0} %</text>"#,
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
    axis_title(&mut svg, x_title);
    svg.push_str("</svg>");
    svg
}

/// An axis of a parallel-coordinates plot.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) name: String,
    /// Ticks: position from 0 (bottom) to 1, and text.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A parallel-coordinates plot. Each line has a class, its positions on the axes from 0 to 1, and a tooltip.
pub(crate) fn parallel(label: &str, axes: &[Axis], lines: &[(String, Vec<f64>, String)]) -> String {
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

fn open(label: &str) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, escape(label))
}

/// The CSS classes for the colour and dashes of a model.
fn style(model: usize) -> String {
    format!("c{} d{}", model % 7, model / 2 % 4)
}

fn tick_text(svg: &mut String, x: f64, text: &str) {
    let mut lines = text.split('\n');
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

fn axis_title(svg: &mut String, title: &str) {
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    _ = write!(svg, r#"<text class="mid" x="{middle}" y="{}">{}</text>"#, HEIGHT - 5.0, escape(title));
}

fn mark(svg: &mut String, model: usize, x: f64, y: f64) {
    let path = |points: &[(f64, f64)]| -> String {
        points.iter().map(|(dx, dy)| format!("{:.1},{:.1} ", x + dx, y + dy)).collect()
    };
    let polygon =
        |points: &[(f64, f64)]| format!(r#"<polygon class="mark" points="{}"/>"#, path(points).trim_end());
    let strokes = |d: &str| format!(r#"<path class="cross" transform="translate({x:.1} {y:.1})" d="{d}"/>"#);
    svg.push_str(&match model % SHAPES {
        0 => format!(r#"<circle class="mark" cx="{x:.1}" cy="{y:.1}" r="3.6"/>"#),
        1 => polygon(&[(-3.4, -3.4), (3.4, -3.4), (3.4, 3.4), (-3.4, 3.4)]),
        2 => polygon(&[(0.0, -4.4), (4.2, 3.2), (-4.2, 3.2)]),
        3 => polygon(&[(0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)]),
        4 => polygon(&[(0.0, 4.4), (4.2, -3.2), (-4.2, -3.2)]),
        5 => strokes("M-3.6-3.6 3.6 3.6M-3.6 3.6 3.6-3.6"),
        6 => strokes("M-4.6 0H4.6M0-4.6V4.6"),
        7 => format!(r#"<circle class="hollow" cx="{x:.1}" cy="{y:.1}" r="3.6"/>"#),
        _ => format!(r#"<rect class="hollow" x="{:.1}" y="{:.1}" width="7" height="7"/>"#, x - 3.5, y - 3.5),
    });
}

/// 3 to 7 equidistant round numbers that enclose the range.
fn nice_ticks(low: f64, high: f64) -> Vec<f64> {
    let span = (high - low).max(1e-6 * high.abs()).max(1e-9);
    let power = 10_f64.powf((span / 4.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| span / s <= 5.0);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil().max(first + 1.0);
    (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect()
}

/// Formats a number with as many decimals as the step between ticks needs.
fn number(value: f64, step: f64) -> String {
    let places = (0..9).find(|&p| {
        let scaled = step * 10_f64.powi(p);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    });
    format!("{value:.0$}", places.unwrap_or(9) as usize)
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

    #[test]
    fn texts_are_escaped_and_models_told_apart_by_more_than_colour() {
        let point = Point { x: 1.0, y: 0.5, low_high: Some((0.4, 0.6)), title: "<b>&".into() };
        let series = |model| Series { model, points: vec![point.clone()] };
        let plot = Plot {
            label: "\"x\"",
            x_title: "k",
            ticks: vec![(1.0, "<1>".into())],
            x_range: (0.0, 2.0),
            from_zero: true,
            diagonal: true,
            lines: true,
            series: vec![series(0), series(7)],
        };
        let svg = plot.svg();
        assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("&lt;1&gt;") && svg.contains("&quot;x&quot;"));
        assert_eq!(svg.matches("class=\"diagonal\"").count(), 1);
        assert!(!svg.contains("<b>") && !svg.contains("NaN"), "{svg}");
        assert_ne!(sample(0).replace("c0", ""), sample(7).replace("c0", ""));
    }
}
