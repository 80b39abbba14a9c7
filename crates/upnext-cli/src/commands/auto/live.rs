//! The progress of a run on stderr.

use super::{FEW_SESSIONS, judging_sessions};
use crate::output::{thousands, warn};
use crate::page::percent;
use crate::progress::EpochBar;
use std::time::Instant;
use upnext_core::auto::{AutoEvent, Character, SkippedReport};
use upnext_core::history::FitEvent;

/// A line for each step, and the bars of trainings.
pub(super) struct Live {
    bar: EpochBar,
    begun: Instant,
    /// The names in the last lines of their kind.
    measured: Option<String>,
    trained: Option<String>,
    /// Whether the last training had epochs.
    has_epochs: bool,
    /// Number of blends that have been judged since the last best model.
    blends: usize,
}

impl Live {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = EpochBar::new(quiet);
        Self { bar, begun: Instant::now(), measured: None, trained: None, has_epochs: false, blends: 0 }
    }

    /// Displays an event.
    pub(super) fn show(&mut self, event: &AutoEvent) {
        match event {
            AutoEvent::Began(character, windows) => {
                let on = match windows.len() {
                    1 => "one window".to_owned(),
                    n => format!("{n} windows"),
                };
                self.line(&format!("{}; judging on {on}", shape(character)));
                let sessions = judging_sessions(windows);
                if sessions < FEW_SESSIONS {
                    warn(&[format!(
                        "only {sessions} sessions judge: which model is the best is mostly chance: use a longer log"
                    )]);
                }
            }
            AutoEvent::Training { name, window: Some(_) } if self.trained.as_deref() != Some(name) => {
                (self.trained, self.has_epochs) = (Some((*name).to_owned()), false);
                self.line(&format!("{name}: learning what was before the windows"));
            }
            AutoEvent::Training { name, window: Some((window, windows)) } if self.has_epochs => {
                self.line(&format!("{name}: learning what was before window {window} of {windows}"));
            }
            AutoEvent::Training { name, window: None } => {
                self.line(&format!("{name}: learning all of the training part"));
            }
            AutoEvent::Measuring { name } if self.measured.as_deref() != Some(name) => {
                self.measured = Some((*name).to_owned());
                self.line(&format!("{name}: measuring its speed"));
            }
            AutoEvent::Fit(event) => {
                self.has_epochs |= matches!(event, FitEvent::Epoch(_));
                self.bar.show(event);
            }
            AutoEvent::Judging { blends } => {
                if self.blends == 0 && *blends > 0 {
                    self.line("judging blends");
                }
                self.blends += blends;
            }
            AutoEvent::Judged(member) => self.line(&format!(
                "{}: Recall@20 {} %, MRR@20 {} %, alone",
                member.name,
                percent(member.figures.recall),
                percent(member.figures.mrr)
            )),
            AutoEvent::Skipped(skipped) => {
                self.line(&format!("{}: left out, {}", skipped.name, reason(skipped, ["is", "are"])));
            }
            AutoEvent::LeftOut { name, reason } => warn(&[format!("{name} is left out: {reason}")]),
            AutoEvent::Best { candidate: best, is_new } => {
                self.line(&format!(
                    "{}: {}, Recall@20 {} %, MRR@20 {} %",
                    if *is_new { "saved" } else { "still the best" },
                    best.members.join(" + "),
                    percent(best.figures.recall),
                    percent(best.figures.mrr)
                ));
                self.blends = 0;
            }
            _ => {}
        }
    }

    fn line(&mut self, text: &str) {
        let elapsed = self.begun.elapsed().as_secs();
        self.bar.line(&format!("[{:>3}:{:02}] {text}", elapsed / 60, elapsed % 60));
    }
}

/// A log in one sentence.
pub(super) fn shape(character: &Character) -> String {
    let days = character.days.map_or(String::new(), |days| format!(" over {days:.0} days"));
    format!(
        "{} events of {} sessions on {} items{days}, {} events in a session of middle length, {} % repeats, {} % of the newest events on new items",
        thousands(character.events as u64),
        thousands(character.sessions as u64),
        thousands(character.items as u64),
        character.median_length,
        percent(character.repeats),
        percent(character.new_items),
    )
}

/// Why a network was not begun, with the verbs for no time and for some.
pub(super) fn reason(skipped: &SkippedReport, [is, are]: [&str; 2]) -> String {
    match skipped.seconds {
        Some(seconds) => {
            format!("it would need {} and {} {are} left", span(seconds), span(skipped.left_seconds.max(0.0)))
        }
        None => format!("no time {is} left"),
    }
}

/// Seconds as a span that people read.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s > 0.0 && s < 0.5 => "less than a second".to_owned(),
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 5940.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
