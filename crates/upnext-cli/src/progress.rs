//! Progress bars on stderr, if it is a terminal.

use crate::output::{thousands, warn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use upnext_core::FitEvent;
use upnext_core::artifact::EpochSummary;
use upnext_core::gru4rec::{EpochProgress, Isa};

/// The unit that a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Events.
    Events,
}

/// A progress bar, which is removed when it is dropped. It is hidden with `--quiet` and if stderr is not a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar at 0.
    pub(crate) fn new(quiet: bool, what: &'static str, unit: Unit) -> Self {
        // indicatif hides the bar if stderr is not a terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what);
        let template = match unit {
            Unit::Bytes => "{msg:>9} [{bar:40}] {bytes} of {total_bytes}, {eta} left",
            Unit::Events => "{msg:>9} [{bar:40}] {human_pos} of {human_len} events, {eta} left",
        };
        let style = ProgressStyle::with_template(template)
            .expect("the templates above are valid: a test makes both")
            .progress_chars("=> ");
        Self { bar: bar.with_style(style) }
    }

    /// Moves the bar to `done` of `total`; 0 is an unknown total.
    pub(crate) fn at(&self, done: u64, total: u64) {
        self.bar.set_length(total.max(done));
        self.bar.set_position(done);
    }

    /// Advances the bar by `more`, from any thread. Its total must have been set.
    pub(crate) fn add(&self, more: u64) {
        self.bar.inc(more);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The progress display of training: a bar for the current epoch with loss and speed, and a line for each finished one.
pub(crate) struct EpochBar {
    bar: ProgressBar,
    quiet: bool,
    epochs: usize,
}

impl EpochBar {
    /// A display that is empty at first.
    pub(crate) fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style =
            ProgressStyle::with_template("{prefix} [{bar:30}] {percent}%, {msg}, {eta} left in the epoch")
                .expect("the template is valid: a test makes it")
                .progress_chars("=> ");
        Self { bar: bar.with_style(style), quiet, epochs: 0 }
    }

    /// Displays an event of the training.
    pub(crate) fn show(&mut self, event: &FitEvent) {
        match event {
            FitEvent::Begin { epochs, epochs_done, backend, .. } => {
                self.epochs = *epochs;
                if let Some(notice) = slow_arithmetic(backend) {
                    self.line(notice);
                }
                if *epochs_done > 0 {
                    self.line(&format!("going on after epoch {epochs_done}"));
                }
            }
            FitEvent::SmallerBatch { asked, rows } => warn(&[format!(
                "the mini-batch has {rows} rows instead of {asked}: there are no more sessions of two or more events"
            )]),
            FitEvent::MiniBatch(progress) => self.at(progress),
            FitEvent::Epoch(epoch) => self.line(&epoch_line(epoch, self.epochs)),
            FitEvent::Refit(selection) => self.line(&format!(
                "epoch {} of {} was the best by validation: training again, on all of the data, for that many",
                selection.best_epoch,
                selection.epochs.len()
            )),
            FitEvent::Member { name, number, of, sessions } => {
                let sessions = thousands(*sessions as u64);
                self.line(&format!("training {number} of {of}: {name}, on {sessions} sessions"));
            }
            FitEvent::Listing { done, of } => {
                self.bar.set_length(*of as u64);
                self.bar.set_position(*done as u64);
                self.bar.set_prefix("what it expects of the newest sessions");
                self.bar.set_message("");
            }
            FitEvent::LeftOut { name, reason } => warn(&[format!("{name} is left out: {reason}")]),
            _ => {}
        }
    }

    fn at(&mut self, progress: &EpochProgress) {
        // Formatting a string for every mini-batch would slow training down.
        if self.bar.is_hidden() || !progress.mini_batches.is_multiple_of(64) {
            return;
        }
        self.bar.set_length(progress.pairs_in_epoch);
        self.bar.set_position(progress.pairs + progress.pairs_left_out);
        self.bar.set_prefix(format!("epoch {} of {}", progress.epoch, self.epochs));
        self.bar.set_message(format!(
            "loss {:.4}, {:.0} mini-batches/s, {:.0} pairs/s",
            progress.loss,
            progress.mini_batches_per_second(),
            progress.events_per_second()
        ));
    }

    /// Prints a permanent line.
    pub(crate) fn line(&mut self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{text}"));
            self.bar.reset();
        }
    }
}

/// A warning for machines without vector instructions.
fn slow_arithmetic(instruction_set: &str) -> Option<&'static str> {
    (instruction_set == Isa::PORTABLE.name()).then_some(
        "this processor has no AVX2 with FMA: the portable arithmetic gives results as good, several times more slowly",
    )
}

fn epoch_line(epoch: &EpochSummary, epochs: usize) -> String {
    let validation = epoch.validation.map_or(String::new(), |v| {
        format!(", validation recall@{} {:.4} mrr@{} {:.4}", v.cutoff, v.recall, v.cutoff, v.mrr)
    });
    format!(
        "epoch {:>2} of {epochs}: loss {:.4}, {:.1} s, {} mini-batches/s, {} pairs/s{validation}",
        epoch.epoch,
        epoch.loss,
        epoch.seconds,
        thousands(per_second(epoch.mini_batches, epoch.seconds) as u64),
        thousands(per_second(epoch.pairs, epoch.seconds) as u64),
    )
}

/// A count divided by seconds; 0 for 0 seconds.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

impl Drop for EpochBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_of_both_units_can_be_made() {
        for unit in [Unit::Bytes, Unit::Events] {
            Progress::new(true, "reading", unit).at(1, 2);
        }
        EpochBar::new(true).show(&FitEvent::MiniBatch(&EpochProgress::default()));
    }

    #[test]
    fn slow_arithmetic_is_said_and_fast_is_not() {
        assert!(slow_arithmetic("portable").is_some_and(|notice| notice.contains("AVX2")));
        assert_eq!(["avx2", "avx512", "neon"].map(slow_arithmetic), [None; 3]);
    }
}
