//! The progress display of a search: the best points, the best figure so far as a curve, and the running trials. If
//! stderr is not a terminal, one line per trial.

use crate::output::{Table, thousands};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use upnext_core::experiment::Experiment;
use upnext_core::tuning::{
    Event, Objective, Phase, RunningTrial, SearchSpace, Trial, TrialResult, TuningOptions, ranked,
};

/// Number of points in the table.
const SHOWN: usize = 5;

/// Block characters of the curve, from low to high.
const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Width of the curve in characters.
const WIDTH: usize = 60;

pub(super) struct Live<'s> {
    bar: ProgressBar,
    quiet: bool,
    space: &'s SearchSpace,
    objective: Objective,
    cutoff: usize,
    trials: Vec<Trial>,
    phase: String,
    /// The trials that the whole search will run: sampled points, and at most so many refinements.
    of_search: (usize, usize),
    /// Number of trials in the phase, and how many of them are finished.
    of_phase: (usize, usize),
    /// When the first trial of the phase that was not loaded from the store began.
    begun: Instant,
    made: usize,
}

impl<'s> Live<'s> {
    pub(super) fn new(
        quiet: bool,
        options: &TuningOptions,
        space: &'s SearchSpace,
        experiment: &Experiment,
    ) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid: a test makes it");
        Self {
            bar: bar.with_style(style),
            quiet,
            space,
            objective: options.objective,
            cutoff: experiment.evaluation.cutoffs.last().copied().unwrap_or_default(),
            trials: Vec::new(),
            phase: String::new(),
            of_search: space.trials(options),
            of_phase: (0, 0),
            begun: Instant::now(),
            made: 0,
        }
    }

    pub(super) fn at(&mut self, event: &Event) {
        match *event {
            Event::Begin { stored, pop_recall } => {
                let stored = match stored {
                    0 => String::new(),
                    n => format!("going on with {} stored trials; ", thousands(n as u64)),
                };
                self.line(&self.plan());
                self.line(&format!("{stored}POP's recall@{} is {pop_recall:.4}", self.cutoff));
            }
            Event::Phase { phase, trials, epochs, parameter } => {
                self.phase = match (phase, epochs, parameter) {
                    (Phase::Sample, Some(epochs), _) => format!("points after {epochs} epochs"),
                    (Phase::Sample, None, _) => "points".to_owned(),
                    (Phase::Refine, _, key) => format!("values of {}", short(key.unwrap_or_default())),
                };
                if epochs.is_some() {
                    // Figures after fewer epochs are not comparable.
                    self.trials.clear();
                }
                self.of_phase = (trials, 0);
                (self.begun, self.made) = (Instant::now(), 0);
            }
            Event::Trial { trial, was_stored } => {
                self.of_phase.1 += 1;
                self.made += usize::from(!was_stored);
                self.trials.retain(|earlier| earlier.trial != trial.trial);
                self.trials.push(trial.clone());
                if self.bar.is_hidden() && !was_stored {
                    let is_best =
                        ranked(&self.trials, self.objective).first().is_some_and(|b| b.trial == trial.trial);
                    let star = if is_best { "  *" } else { "" };
                    let line = format!(
                        "trial {}{}, {} of {} {}: {}, {:.1} s: {}{star}",
                        trial.trial,
                        self.of_all(),
                        self.of_phase.1,
                        self.of_phase.0,
                        self.phase,
                        self.figures(trial),
                        trial.seconds,
                        self.values(trial)
                    );
                    self.line(&line);
                }
            }
            Event::Running { trials, elsewhere } => self.draw(trials, elsewhere),
            _ => {}
        }
    }

    /// How many trials the search will run, in a sentence.
    fn plan(&self) -> String {
        let (sampled, refined) = self.of_search;
        let points = format!("{} points will be sampled", thousands(sampled as u64));
        match refined {
            0 => points,
            more => format!(
                "{points}, and then the best one refined by up to {} more trials: up to {} trials in all (--no-refine: the points alone)",
                thousands(more as u64),
                thousands((sampled + more) as u64)
            ),
        }
    }

    /// The end of "trial 7": of how many in the whole search. A number of the procedure's order can be missing if a point
    /// makes no sense, so that the total is a limit.
    fn of_all(&self) -> String {
        let (sampled, refined) = self.of_search;
        let about = if refined > 0 { "up to " } else { "" };
        format!(" of {about}{}", thousands((sampled + refined) as u64))
    }

    fn figures(&self, trial: &Trial) -> String {
        let k = self.cutoff;
        match &trial.verdict {
            TrialResult::Judged { recall, mrr, stable } => {
                let unstable = if *stable { "" } else { " (unstable)" };
                format!("recall@{k} {recall:.4} mrr@{k} {mrr:.4}{unstable}")
            }
            TrialResult::Failed { reason } => format!("failed: {reason}"),
        }
    }

    fn values(&self, trial: &Trial) -> String {
        let shown = self
            .space
            .parameters()
            .iter()
            .filter_map(|p| Some(format!("{} {}", short(&p.key), trial.values.get(&p.key)?)));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn draw(&mut self, running: &[RunningTrial], elsewhere: usize) {
        if self.bar.is_hidden() {
            return;
        }
        let (total, done) = self.of_phase;
        let number = self.trials.iter().map(|trial| trial.trial).max().unwrap_or(0);
        let mut text = format!("{done} of {total} {}; trial {number}{}", self.phase, self.of_all());
        if self.made > 0 && done < total {
            let left = self.begun.elapsed().mul_f64((total - done) as f64 / self.made as f64);
            text.push_str(&format!(", {} left", clock(left)));
        }
        text.push('\n');
        let k = self.cutoff;
        let order = ranked(&self.trials, self.objective);
        if !order.is_empty() {
            let names = [format!("recall@{k}"), format!("mrr@{k}")];
            let mut headings = vec!["trial", &names[0], &names[1]];
            headings.extend(self.space.parameters().iter().map(|p| short(&p.key)));
            let mut table = Table::new(&headings);
            for trial in order.iter().take(SHOWN) {
                let (recall, mrr) = (trial.figure(Objective::Recall), trial.figure(Objective::Mrr));
                let mut row = vec![trial.trial.to_string()];
                row.extend([recall, mrr].map(|x| format!("{:.4}", x.unwrap_or_default())));
                let value = |p: &upnext_core::tuning::Parameter| {
                    trial.values.get(&p.key).map_or(String::new(), ToString::to_string)
                };
                row.extend(self.space.parameters().iter().map(value));
                table.row(row);
            }
            text.push_str(&format!("{table}{} best so far\n", curve(&self.trials, self.objective)));
        }
        for trial in running {
            text.push_str(&format!(
                "trial {}: epoch {}, {:.0} %, loss {:.4}\n",
                trial.trial,
                trial.epoch.max(1),
                trial.share * 100.0,
                trial.loss
            ));
        }
        if elsewhere > 0 {
            text.push_str(&format!("{elsewhere} trials are run by other processes\n"));
        }
        // The bar writes to the terminal by itself, whatever colours are wanted.
        self.bar.set_message(anstream::adapter::strip_str(text.trim_end()).to_string());
        self.bar.tick();
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The field of a key such as `training.learning_rate`, without its table.
pub(super) fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The best figure so far in the order in which trials ended, as a line of block characters scaled from the first
/// figure to the best.
fn curve(trials: &[Trial], objective: Objective) -> String {
    let mut top = f64::NEG_INFINITY;
    let best: Vec<f64> = trials
        .iter()
        .filter_map(|trial| {
            top = top.max(trial.figure(objective)?);
            Some(top)
        })
        .collect();
    let (Some(&low), Some(&high)) = (best.first(), best.last()) else { return String::new() };
    let step = best.len().div_ceil(WIDTH).max(1);
    let mark = |x: f64| {
        let height = if high > low { (x - low) / (high - low) } else { 1.0 };
        MARKS[((height * MARKS.len() as f64) as usize).min(MARKS.len() - 1)]
    };
    // The last figure of each chunk, so that the curve ends at the best.
    best.chunks(step).filter_map(|stretch| stretch.last()).map(|&x| mark(x)).collect()
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn trial(trial: usize, recall: f64) -> Trial {
        let verdict = TrialResult::Judged { recall, mrr: 0.1, stable: true };
        Trial { trial, phase: Phase::Sample, values: BTreeMap::new(), epochs: None, verdict, seconds: 1.0 }
    }

    #[test]
    fn the_curve_rises_to_the_best() {
        let trials: Vec<Trial> =
            [0.125, 0.375, 0.25, 0.625].into_iter().enumerate().map(|(i, x)| trial(i, x)).collect();
        assert_eq!(curve(&trials, Objective::Recall), "▁▅▅█");
        let many: Vec<Trial> = (0..500).map(|i| trial(i, i as f64)).collect();
        let curve = curve(&many, Objective::Recall);
        assert!(curve.chars().count() <= WIDTH && curve.ends_with('█') && curve.starts_with('▁'));
    }

    #[test]
    fn a_live_view_can_be_made_and_told_everything() {
        let experiment = Experiment::default();
        let space = SearchSpace::of_kind(&experiment).unwrap();
        let mut live = Live::new(true, &TuningOptions::default(), &space, &experiment);
        let (sampled, refined) = live.of_search;
        assert!(refined > 0 && live.plan().contains(&format!("up to {} trials in all", sampled + refined)));
        live.at(&Event::Trial { trial: &trial(1, 0.5), was_stored: false });
        live.at(&Event::Running { trials: &[RunningTrial::default()], elsewhere: 2 });
        assert_eq!([59, 61, 7260].map(|s| clock(Duration::from_secs(s))), ["59 s", "2 min", "2 h 1 min"]);
    }
}
