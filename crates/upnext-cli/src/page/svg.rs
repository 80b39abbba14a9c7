//! SVG plots: lines with intervals, scatter plots, bars, and parallel coordinates.
//!
//! Plotting libraries write colours and font sizes into every element, where dark mode, print and the check boxes of
//! the legend cannot change them. Here elements have classes, and `style.css` has the colours.

mod bars;
mod forest;
mod frame;
mod labels;
mod marks;
mod parallel;

pub(crate) use bars::bars;
pub(crate) use forest::{Difference, forest, signed};
pub(crate) use marks::sample;
pub(crate) use parallel::{Axis, parallel};

use super::html::escape;
use super::percent;
use crate::output::seconds;
use frame::{BOTTOM, HEIGHT, LEFT, TOP, WIDTH, axis_title, nice_ticks, number, open, tick_text, y_title};
use marks::{mark, style};
use std::fmt::Write;
use upnext_core::artifact::EpochSummary;
use upnext_core::comparison::Metric;

/// Distance of a plot without names beside it from the right edge.
const RIGHT: f64 = 12.0;

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
    /// The name beside the end of the line, or beside the only point; empty for none.
    pub(crate) name: String,
    /// Whether it is shown before the reader changes a check box: names of such series keep clear of each other.
    pub(crate) is_shown: bool,
    /// Whether its check box in the legend hides it.
    pub(crate) in_legend: bool,
    pub(crate) points: Vec<Point>,
}

impl Series {
    /// A series without a name, which is always shown.
    pub(crate) fn unnamed(model: usize, points: Vec<Point>) -> Self {
        Self { model, name: String::new(), is_shown: true, in_legend: false, points }
    }
}

/// A plot of several series. Axes have titles with their units; shares are in percent, as in tables.
#[derive(Clone, Debug)]
pub(crate) struct Plot<'a> {
    /// Description for screen readers.
    pub(crate) label: &'a str,
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    /// Ticks of the horizontal axis: position and text, in which a line break begins a second line.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) x_range: (f64, f64),
    /// Whether the vertical axis begins at 0.
    pub(crate) from_zero: bool,
    /// Whether to draw the line y = x.
    pub(crate) diagonal: bool,
    /// Heights of reference lines across the plot, and their names.
    pub(crate) levels: Vec<(f64, String)>,
    /// Whether points are connected; their intervals are then a band.
    pub(crate) lines: bool,
    pub(crate) series: Vec<Series>,
}

/// Positions in a plot, in SVG units.
struct Scale {
    x: Box<dyn Fn(f64) -> f64>,
    y: Box<dyn Fn(f64) -> f64>,
    /// Distance of the plot from the right edge.
    right: f64,
}

impl Plot<'_> {
    /// Renders the `<svg>` element.
    pub(crate) fn svg(&self) -> String {
        let names = self.series.iter().map(|series| series.name.as_str());
        let right = match labels::width(names) {
            wide if self.lines && wide > 0.0 => wide + 14.0,
            _ => RIGHT,
        };
        let y_ticks = self.y_ticks();
        let (low, high) = (y_ticks[0], y_ticks[y_ticks.len() - 1]);
        let (from, to) = self.x_range;
        let scale = Scale {
            x: Box::new(move |value| {
                LEFT + (value - from) / (to - from).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - right)
            }),
            y: Box::new(move |value| {
                HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
            }),
            right,
        };

        let mut svg = open(self.label);
        let step = y_ticks[1] - y_ticks[0];
        for &tick in &y_ticks {
            let at = (scale.y)(tick);
            // Writing to a String cannot fail.
            _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="end" x="{:.1}" y="{:.1}">{}</text>"#,
                WIDTH - right,
                LEFT - 5.0,
                at + 4.0,
                number(tick, step)
            );
        }
        for (place, text) in &self.ticks {
            tick_text(&mut svg, (scale.x)(*place), text);
        }
        axis_title(&mut svg, self.x_title, right);
        y_title(&mut svg, self.y_title);
        if self.diagonal {
            let (from, to) = (self.x_range.0.max(low), self.x_range.1.min(high));
            _ = write!(
                svg,
                r#"<line class="diagonal" x1="{:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/>"#,
                (scale.x)(from),
                (scale.x)(to),
                (scale.y)(from),
                (scale.y)(to)
            );
        }
        for (height, name) in &self.levels {
            let at = (scale.y)(*height);
            _ = write!(
                svg,
                r#"<line class="diagonal" x1="{LEFT}" x2="{0:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="end halo" x="{0:.1}" y="{1:.1}">{2}</text>"#,
                WIDTH - right,
                at - 4.0,
                escape(name)
            );
        }
        let names = self.names(&scale);
        for (series, name) in self.series.iter().zip(names) {
            self.draw(&mut svg, series, &scale, &name);
        }
        svg.push_str("</svg>");
        svg
    }

    /// The ticks of the vertical axis.
    fn y_ticks(&self) -> Vec<f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let ends = points.flat_map(|p| {
            let (low, high) = p.low_high.unwrap_or((p.y, p.y));
            [p.y, low, high]
        });
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let all = ends.chain(self.levels.iter().map(|level| level.0));
        all.filter(|y| y.is_finite()).for_each(|y| (low, high) = (low.min(y), high.max(y)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if self.from_zero {
            low = low.min(0.0);
        }
        nice_ticks(low, high)
    }

    /// The texts of the series' names: at the ends of lines, or beside points. Those of series that are shown are placed
    /// first.
    fn names(&self, scale: &Scale) -> Vec<String> {
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        order.retain(|&i| !self.series[i].name.is_empty() && !self.series[i].points.is_empty());
        order.sort_by_key(|&i| !self.series[i].is_shown);
        let last = |i: usize| {
            let point = &self.series[i].points[self.series[i].points.len() - 1];
            ((scale.x)(point.x), (scale.y)(point.y))
        };
        let mut texts = vec![String::new(); self.series.len()];
        let text = |x: f64, y: f64, class: &str, i: usize| {
            format!(
                r#"<text class="name {class}" x="{x:.1}" y="{y:.1}">{}</text>"#,
                escape(&labels::short(&self.series[i].name))
            )
        };
        if self.lines {
            let edge = WIDTH - scale.right;
            let shown = order.iter().filter(|&&i| self.series[i].is_shown).count();
            // Shown and hidden ones separately: a hidden name must not push a shown one from its line.
            for group in [&order[..shown], &order[shown..]] {
                let heights: Vec<f64> = group.iter().map(|&i| last(i).1).collect();
                let places = labels::spread(&heights, TOP, HEIGHT - BOTTOM);
                for (&i, at) in group.iter().zip(places) {
                    let (x, y) = last(i);
                    texts[i] = format!(
                        r#"<path class="lead" d="M{:.1} {y:.1}L{:.1} {at:.1}"/>{}"#,
                        x + 4.0,
                        edge + 8.0,
                        text(edge + 10.0, at + 4.0, "", i).replacen(
                            "<text",
                            &format!("<text data-y=\"{y:.1}\""),
                            1
                        )
                    );
                }
            }
        } else {
            let points: Vec<(f64, f64)> = order.iter().map(|&i| last(i)).collect();
            let names: Vec<&str> = order.iter().map(|&i| self.series[i].name.as_str()).collect();
            let places = labels::beside(&points, &names, (LEFT, WIDTH));
            for (&i, (x, y, class)) in order.iter().zip(places) {
                let from = last(i);
                let lead = if (y - 4.0 - from.1).abs() > labels::LINE {
                    format!(r#"<path class="lead" d="M{:.1} {:.1}L{x:.1} {:.1}"/>"#, from.0, from.1, y - 4.0)
                } else {
                    String::new()
                };
                texts[i] = format!("{lead}{}", text(x, y, &format!("halo {class}"), i));
            }
        }
        texts
    }

    fn draw(&self, svg: &mut String, series: &Series, scale: &Scale, name: &str) {
        let (x, y) = (&scale.x, &scale.y);
        let model = series.model;
        let class = if series.in_legend { format!("m{model} ") } else { String::new() };
        _ = write!(svg, r#"<g class="{class}{}">"#, style(model));
        if self.lines && series.points.len() > 1 {
            let of = |height: &dyn Fn(&Point) -> Option<f64>| -> Option<Vec<String>> {
                let place = |p: &Point| Some(format!("{:.1},{:.1}", x(p.x), y(height(p)?)));
                series.points.iter().map(place).collect()
            };
            if let (Some(low), Some(mut high)) = (of(&|p| Some(p.low_high?.0)), of(&|p| Some(p.low_high?.1)))
            {
                high.reverse();
                _ = write!(svg, r#"<polygon class="band" points="{} {}"/>"#, low.join(" "), high.join(" "));
            }
            let line = of(&|p| Some(p.y)).unwrap_or_default();
            _ = write!(svg, r#"<polyline class="line" points="{}"/>"#, line.join(" "));
        }
        for point in &series.points {
            let (px, py) = (x(point.x), y(point.y));
            svg.push_str("<g>");
            if let Some((low, high)) = point.low_high.filter(|_| !self.lines || series.points.len() == 1) {
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
        svg.push_str(name);
        svg.push_str("</g>");
    }
}

/// Ticks at every epoch, or at every n-th of many.
fn epoch_ticks(last: usize) -> Vec<(f64, String)> {
    let step = last.div_ceil(10).max(1);
    (1..=last.max(1)).filter(|e| e % step == 0 || last < 10).map(|e| (e as f64, e.to_string())).collect()
}

/// A plot by epoch, of which `last` is the last one, with `room` for names behind it.
pub(crate) fn by_epoch(
    label: &str,
    y_title: &str,
    (last, room): (usize, f64),
    series: Vec<Series>,
) -> String {
    Plot {
        label,
        x_title: "epoch",
        y_title,
        ticks: epoch_ticks(last),
        x_range: (0.5, last as f64 + room),
        from_zero: false,
        diagonal: false,
        levels: Vec::new(),
        lines: true,
        series,
    }
    .svg()
}

/// A plot of a model's training loss by epoch.
pub(crate) fn loss_by_epoch(model: usize, name: &str, epochs: &[EpochSummary]) -> String {
    let points = epochs.iter().map(|epoch| Point {
        x: epoch.epoch as f64,
        y: epoch.loss,
        low_high: None,
        title: format!("epoch {}: loss {:.4}, {} s", epoch.epoch, epoch.loss, seconds(epoch.seconds)),
    });
    let series = vec![Series::unnamed(model, points.collect())];
    let label = format!("Loss of {name} by epoch");
    by_epoch(&label, "mean loss of the mini-batches", (epochs.len().max(1), 0.5), series)
}

/// The points of a metric on the validation part, in percent, of the epochs that recorded it at cut-off `k`. Titles begin
/// with `of`.
pub(crate) fn validation_points(of: &str, metric: Metric, k: usize, epochs: &[EpochSummary]) -> Vec<Point> {
    let recorded = epochs.iter().filter_map(|epoch| {
        let validation = epoch.validation.filter(|validation| validation.cutoff == k)?;
        let y = match metric {
            Metric::Recall => validation.recall,
            _ => validation.mrr,
        };
        let title = format!("{of}epoch {}: {} %", epoch.epoch, percent(y));
        Some(Point { x: epoch.epoch as f64, y: y * 100.0, low_high: None, title })
    });
    recorded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(lines: bool, series: Vec<Series>) -> String {
        Plot {
            label: "\"x\"",
            x_title: "k",
            y_title: "%",
            ticks: vec![(1.0, "<1>".into())],
            x_range: (0.0, 2.0),
            from_zero: true,
            diagonal: true,
            levels: vec![(0.2, "<pop>".into())],
            lines,
            series,
        }
        .svg()
    }

    #[test]
    fn texts_are_escaped_and_models_told_apart_by_more_than_colour() {
        let point = Point { x: 1.0, y: 0.5, low_high: Some((0.4, 0.6)), title: "<b>&".into() };
        let series = |model| Series {
            model,
            name: "<i>".into(),
            is_shown: true,
            in_legend: true,
            points: vec![point.clone()],
        };
        for svg in [plot(true, vec![series(0), series(7)]), plot(false, vec![series(0), series(7)])] {
            assert!(
                svg.contains("&lt;b&gt;&amp;") && svg.contains("&lt;1&gt;") && svg.contains("&quot;x&quot;")
            );
            assert!(svg.contains("&lt;pop&gt;") && svg.matches("&lt;i&gt;").count() == 2);
            assert_eq!(svg.matches("class=\"diagonal\"").count(), 2);
            assert!(!svg.contains("<b>") && !svg.contains("<i>") && !svg.contains("NaN"), "{svg}");
        }
        assert_ne!(sample(0).replace("c0", ""), sample(7).replace("c0", ""));
    }

    #[test]
    fn points_stand_on_their_tick_and_intervals_of_lines_are_bands() {
        let point = |x| Point { x, y: 0.5, low_high: Some((0.4, 0.6)), title: String::new() };
        let series = |model| Series::unnamed(model, vec![point(0.0), point(1.0)]);
        let svg = plot(true, vec![series(0), series(7)]);
        assert_eq!(svg.matches("class=\"band\"").count(), 2);
        assert!(!svg.contains("class=\"bar\""));
        let lines: Vec<&str> = svg
            .split("<polyline class=\"line\" points=\"")
            .skip(1)
            .filter_map(|l| l.split('"').next())
            .collect();
        assert_eq!(lines[0], lines[1]);
        assert_eq!(plot(false, vec![series(0)]).matches("class=\"bar\"").count(), 2);
    }
}
