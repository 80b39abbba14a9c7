//! Progress bars on stderr, where a person looks at it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Events.
    Events,
}

/// A bar that goes away when it is dropped; hidden with `--quiet` and where stderr is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that begins at 0.
    pub(crate) fn new(quiet: bool, what: &'static str, unit: Unit) -> Self {
        // indicatif hides a bar on a stderr that is no terminal.
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

    /// Moves the bar to `done` of `total`; a total of 0 is an unknown one.
    pub(crate) fn at(&self, done: u64, total: u64) {
        self.bar.set_length(total.max(done));
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
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
    }
}
