//! `upnext demo`: from the click log of a simulated shop to recommendations, as a sequence of commands.

mod command_line;
mod folder;
mod sample;

use crate::experiment::ThreadArgs;
use crate::numbers::{one_or_more, seed};
use crate::output::{OutputArgs, Table, print, thousands};
use anyhow::Context;
use command_line::{CommandLine, Output, program_outside_path};
use folder::{Folder, MADE_BY, REPORT_FILE};
use sample::Sample;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;
use upnext_core::artifact::EpochSummary;
use upnext_core::comparison::{Comparison, Estimate, Metric};
use upnext_core::data::{Statistics, TimeSpan};
use upnext_core::evaluation::Evaluation;
use upnext_core::experiment::ModelKind;

/// The cut-off k of the comparison, which is that of the paper.
const CUTOFF: usize = 20;

/// Name of the comparison's report.
const PAGE: &str = "report.html";

/// Length of the list for the sample session.
const LIST: &str = "10";

/// Settings of a network that is trained within seconds: a larger mini-batch and fewer samples than in the published
/// setting, which has almost as many samples as the shop has items. Measured on the default shop: Recall@20 0.695 in 5
/// epochs; mini-batches of 64 with a learning rate of 0.1 take twice the time for 0.701.
const GRU4REC: [&str; 6] = [
    "--set",
    "training.batch_size=128",
    "--set",
    "training.samples=256",
    "--set",
    "training.learning_rate=0.15",
];

/// Number of epochs of the network.
const EPOCHS: &str = "5";

/// Name of the best model.
const BEST: &str = "best";

/// Name of the best model's page.
const BEST_PAGE: &str = "best.html";

/// Show all steps on a simulated shop: click log, preparation, training, comparison, recommendations, the best model.
///
/// Every step is a command of this program, which is printed before it runs and gives the same figures when repeated, except
/// that the last one, `auto`, tries what the machine has time for. The files remain.
#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// Folder for the files: a new or empty one, or that of an earlier demo, whose files are replaced
    #[arg(long, short, value_name = "DIR", default_value = "demo")]
    out: PathBuf,

    /// Seed of the shop and of the training [default: that of each command]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,

    /// Sessions in the shop
    #[arg(long, value_name = "N", value_parser = one_or_more::<u64>, hide = true)]
    sessions: Option<u64>,

    /// Time for the last step, the search for the best model
    #[arg(long, value_name = "SPAN", default_value = "1m")]
    budget: TimeSpan,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`, which is also written to the folder.
#[derive(Serialize)]
struct Report<'a> {
    made_by: &'static str,
    version: &'static str,
    finished: bool,
    out: &'a Path,
    steps: Vec<Step>,
    models: Vec<EvaluatedModel>,
    /// The models of the comparison, which are more, the best first.
    compared: Vec<ComparedModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Shown>,
    /// What `auto` found.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<BestModel>,
    seconds: f64,
    next: Vec<String>,
}

/// An executed command.
#[derive(Serialize)]
struct Step {
    command: String,
    seconds: f64,
    /// The command's JSON document.
    result: Value,
}

/// A model that the demo trains and evaluates by commands of their own.
#[derive(Serialize)]
struct EvaluatedModel {
    model: ModelKind,
    #[serde(rename = "recall@20")]
    recall: f64,
    #[serde(rename = "mrr@20")]
    mrr: f64,
    /// Duration of the command `train`, including reading and saving.
    training_seconds: f64,
}

/// A model in the comparison, and in its report.
#[derive(Serialize)]
struct ComparedModel {
    name: String,
    #[serde(rename = "recall@20")]
    recall: Estimate,
    #[serde(rename = "mrr@20")]
    mrr: Estimate,
    /// Absent for a model that was trained without a record of it.
    training_seconds: Option<f64>,
}

/// The best model, with its figures on the test part.
#[derive(Serialize)]
struct BestModel {
    members: Vec<String>,
    #[serde(rename = "recall@20")]
    recall: f64,
    #[serde(rename = "mrr@20")]
    mrr: f64,
}

/// The sample session and its recommendations.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    sample: Sample,
    /// Rank of the actual next item, from 1; absent if it is not in the list.
    rank_of_next: Option<usize>,
}

/// Fields of the output of `simulate`.
#[derive(Deserialize)]
struct Simulated {
    events: u64,
    sessions: u64,
    items: u64,
    days: u32,
}

/// Fields of the output of `train`.
#[derive(Deserialize)]
struct Trained {
    events: u64,
    items: u64,
    epochs: Vec<EpochSummary>,
}

/// Fields of the output of `compare`.
#[derive(Deserialize)]
struct Compared {
    models: Vec<Named>,
    comparison: Comparison,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    training_seconds: Option<f64>,
}

impl Compared {
    /// The models by descending MRR, as in the report.
    fn best_first(self) -> Vec<ComparedModel> {
        let mut found = Vec::new();
        for (model, figures) in self.models.into_iter().zip(self.comparison.models) {
            let at = |metric| figures.iter().find(|at| at.metric == metric && at.k == CUTOFF);
            if let (Some(recall), Some(mrr)) = (at(Metric::Recall), at(Metric::Mrr)) {
                let Named { name, training_seconds } = model;
                found.push(ComparedModel {
                    name,
                    recall: recall.estimate,
                    mrr: mrr.estimate,
                    training_seconds,
                });
            }
        }
        found.sort_by(|a, b| b.mrr.value.total_cmp(&a.mrr.value));
        found
    }
}

/// Fields of the output of `auto`.
#[derive(Deserialize)]
struct Found {
    candidates: Vec<Candidate>,
    winner: usize,
    test: Tested,
}

#[derive(Deserialize)]
struct Candidate {
    members: Vec<String>,
}

#[derive(Deserialize)]
struct Tested {
    evaluation: Evaluation,
}

/// Fields of the output of `recommend`.
#[derive(Deserialize)]
struct Recommended {
    recommendations: Vec<Recommendation>,
}

#[derive(Deserialize)]
struct Recommendation {
    item_id: String,
    score: f64,
}

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // Checks the number of threads now rather than in the third step.
    args.threads.threads()?;
    let folder = Folder::open(&args.out)?;
    let mut demo = Demo {
        args,
        report: Report {
            made_by: MADE_BY,
            version: env!("CARGO_PKG_VERSION"),
            finished: false,
            out: &args.out,
            steps: Vec::new(),
            models: Vec::new(),
            compared: Vec::new(),
            sample: None,
            best: None,
            seconds: 0.0,
            next: Vec::new(),
        },
    };
    let begun = Instant::now();
    // Written first, so that the next demo recognises the folder of an interrupted one.
    folder.write_report(&demo.report)?;
    demo.say(&introduction())?;

    let [clicks, data] = [folder.name("clicks.csv")?, folder.name("data")?];
    demo.simulate(&clicks)?;
    demo.prepare(&clicks, &data)?;
    for kind in [ModelKind::Pop, ModelKind::SPop, ModelKind::Gru4rec] {
        folder.forget_training(kind.name())?;
        demo.train_and_evaluate(kind, &data, &folder.name(kind.name())?)?;
    }
    let network = folder.name(ModelKind::Gru4rec.name())?;
    demo.compare(&folder, &data)?;
    demo.recommend(&network, &data)?;
    demo.find_best(&folder, &data)?;

    demo.report.next = what_next(&folder, &data)?;
    demo.report.seconds = begun.elapsed().as_secs_f64();
    demo.report.finished = true;
    folder.write_report(&demo.report)?;
    if args.output.json { args.output.print(&demo.report, |_| String::new()) } else { demo.conclude() }
}

/// A running demo.
struct Demo<'a> {
    args: &'a DemoArgs,
    report: Report<'a>,
}

impl Demo<'_> {
    /// Prints text, unless `--json` was given.
    fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.args.output.json { Ok(()) } else { print(text) }
    }

    /// Prints a command, runs it, and prints the description of its result.
    fn step(
        &mut self,
        command: &CommandLine,
        describe: impl FnOnce(&Output) -> anyhow::Result<String>,
    ) -> anyhow::Result<f64> {
        self.say(&format!("\n$ {command}\n"))?;
        let output = command.run(self.args.output.quiet)?;
        for line in describe(&output)?.lines() {
            self.say(&format!("  {line}\n"))?;
        }
        let Output { result, seconds } = output;
        self.report.steps.push(Step { command: command.to_string(), seconds, result });
        Ok(seconds)
    }

    fn simulate(&mut self, clicks: &str) -> anyhow::Result<()> {
        // With --force, so that the command can be repeated.
        let command = CommandLine::new(["simulate", "--out", clicks, "--force"])
            .with_option("--seed", self.args.seed)
            .with_option("--sessions", self.args.sessions);
        self.step(&command, |output| {
            let Simulated { events, sessions, items, days } = output.read()?;
            Ok(format!(
                "{} clicks of {} sessions on {} items in {days} days",
                thousands(events),
                thousands(sessions),
                thousands(items)
            ))
        })?;
        Ok(())
    }

    fn prepare(&mut self, clicks: &str, data: &str) -> anyhow::Result<()> {
        self.step(&CommandLine::new(["prepare", clicks, "--out", data]), |output| {
            let statistics: Statistics = output.read()?;
            let mut table = Table::new(&["", "events", "sessions", "items"]);
            for (name, part) in
                [("to train on", statistics.train), ("the last day, to test", statistics.test)]
            {
                table.row(vec![
                    name.into(),
                    thousands(part.events),
                    thousands(part.sessions),
                    thousands(part.items),
                ]);
            }
            Ok(table.to_string())
        })?;
        Ok(())
    }

    fn train_and_evaluate(&mut self, kind: ModelKind, data: &str, model: &str) -> anyhow::Result<()> {
        let mut train = CommandLine::new(["train", data, "--out", model, "--model", kind.name()]);
        let threads = self.args.threads.given();
        if kind == ModelKind::Gru4rec {
            train = train.with(["--epochs", EPOCHS]).with(GRU4REC);
            train = train.with_option("--seed", self.args.seed).with_option("--threads", threads);
        }
        let training_seconds = self.step(&train, describe_training)?;

        let evaluate = CommandLine::new(["evaluate", model, data]).with_option("--threads", threads);
        let (mut recall, mut mrr) = (0.0, 0.0);
        self.step(&evaluate, |output| {
            let evaluation = output.read()?;
            (recall, mrr) = recall_and_mrr(&evaluation)?;
            let cases = thousands(evaluation.cases as u64);
            Ok(format!(
                "of {cases} next clicks {:.1}% are among the first {CUTOFF}: recall@{CUTOFF} {recall:.4}, mrr@{CUTOFF} {mrr:.4}",
                recall * 100.0
            ))
        })?;
        self.report.models.push(EvaluatedModel { model: kind, recall, mrr, training_seconds });
        Ok(())
    }

    /// Compares the same models and two more on the same cases, with intervals and a report.
    fn compare(&mut self, folder: &Folder, data: &str) -> anyhow::Result<()> {
        let mut models = vec![ModelKind::ItemKnn.name().to_owned(), ModelKind::Sr.name().to_owned()];
        for evaluated in &self.report.models {
            models.push(folder.name(evaluated.model.name())?);
        }
        let page = folder.name(PAGE)?;
        let mut command =
            CommandLine::new(["compare", data, "--models", &models.join(","), "--report", &page]);
        command = command.with_option("--threads", self.args.threads.given());
        let mut compared = Vec::new();
        self.step(&command, |output| {
            compared = output.read::<Compared>()?.best_first();
            Ok(format!(
                "{}\nWhich differences are more than chance, and where each model is good: open {page} in a browser",
                table_of(&compared)
            ))
        })?;
        self.report.compared = compared;
        Ok(())
    }

    fn recommend(&mut self, model: &str, data: &str) -> anyhow::Result<()> {
        let sample = Sample::choose(Path::new(data))?;
        let mut command = CommandLine::new(["recommend", model, "-k", LIST]);
        command = command.with(["--session", &sample.session.join(",")]);
        let mut rank_of_next = None;
        self.step(&command, |output| {
            let Recommended { recommendations } = output.read()?;
            rank_of_next = recommendations.iter().position(|r| r.item_id == sample.next).map(|i| i + 1);
            let list: Vec<String> =
                recommendations.iter().map(|r| format!("{} ({:.2})", r.item_id, r.score)).collect();
            Ok(format!(
                "session {} of the last day began with these {} clicks. Recommended next, with scores:\n{}\nThe visitor really went on to {}: {}",
                sample.session_id,
                sample.session.len(),
                list.join("  "),
                sample.next,
                rank_of_next
                    .map_or("not in this list".to_owned(), |rank| format!("number {rank} of this list")),
            ))
        })?;
        self.report.sample = Some(Shown { sample, rank_of_next });
        Ok(())
    }

    /// Finds the best model, which is usually a blend of several.
    fn find_best(&mut self, folder: &Folder, data: &str) -> anyhow::Result<()> {
        let [best, page] = [folder.name(BEST)?, folder.name(BEST_PAGE)?];
        let budget = self.args.budget.to_string();
        let mut command =
            CommandLine::new(["auto", data, "--out", &best, "--budget", &budget, "--report", &page]);
        command =
            command.with_option("--seed", self.args.seed).with_option("--threads", self.args.threads.given());
        let mut found = None;
        self.step(&command, |output| {
            let Found { candidates, winner, test: Tested { evaluation } } = output.read()?;
            let members = candidates.into_iter().nth(winner).context("`auto` names no winner")?.members;
            let (recall, mrr) = recall_and_mrr(&evaluation)?;
            let text = format!(
                "{}: recall@{CUTOFF} {recall:.4}, mrr@{CUTOFF} {mrr:.4} on the last day\nHow it was found: open {page} in a browser",
                members.join(" + ")
            );
            found = Some(BestModel { members, recall, mrr });
            Ok(text)
        })?;
        self.report.best = found;
        Ok(())
    }

    /// Prints the comparison and suggestions for next commands.
    fn conclude(&self) -> anyhow::Result<()> {
        let next: String = self.report.next.iter().map(|command| format!("  {command}\n")).collect();
        self.say(&format!(
            "\nThe last day's next clicks, ranked among all items by each model, the best first:\n\n{}\n{}\
             Done in {:.0} s. The files are in {}, these figures in {}. What to try next:\n\n{next}  \
             upnext prepare YOUR_CLICKS.csv --out mine     # a log with a session, an item and a time column\n",
            table_of(&self.report.compared),
            self.report.best.as_ref().map_or_else(String::new, |best| format!(
                "The best model for this log, by `auto`: {}, recall@{CUTOFF} {:.4}, mrr@{CUTOFF} {:.4}\n\n",
                best.members.join(" + "),
                best.recall,
                best.mrr
            )),
            self.report.seconds,
            self.args.out.display(),
            self.args.out.join(REPORT_FILE).display(),
        ))
    }
}

fn recall_and_mrr(evaluation: &Evaluation) -> anyhow::Result<(f64, f64)> {
    let at = evaluation.metrics.iter().find(|at| at.k == CUTOFF);
    let at = at.with_context(|| format!("a command gives no figures at {CUTOFF}"))?;
    Ok((at.recall, at.mrr))
}

fn table_of(compared: &[ComparedModel]) -> Table {
    let mut table = Table::new(&["model", "recall@20", "95 %", "mrr@20", "95 %", "seconds to train"]);
    for ComparedModel { name, recall, mrr, training_seconds } in compared {
        let value = |estimate: &Estimate| format!("{:.4}", estimate.value);
        let range = |estimate: &Estimate| {
            estimate.interval.map_or(String::new(), |x| format!("{:.4}–{:.4}", x.low, x.high))
        };
        table.row(vec![
            name.clone(),
            value(recall),
            range(recall),
            value(mrr),
            range(mrr),
            training_seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.1}")),
        ]);
    }
    table
}

fn introduction() -> String {
    let mut text = "A simulated shop, from its click log to recommendations.\n\
        The lines after `$` are what is run: each can be repeated as it stands, and gives the same figures.\n"
        .to_owned();
    if let Some(program) = program_outside_path() {
        text.push_str(&format!("Here `upnext` is {}\n", program.display()));
    }
    text
}

fn describe_training(output: &Output) -> anyhow::Result<String> {
    let Trained { events, items, epochs } = output.read()?;
    let mut text = format!("learnt from {} events on {} items", thousands(events), thousands(items));
    if let (Some(first), Some(last)) = (epochs.first(), epochs.last()) {
        let (count, loss) = (epochs.len(), (first.loss, last.loss));
        text.push_str(&format!(
            " in {count} epochs; loss {:.3} in the first, {:.3} in the last",
            loss.0, loss.1
        ));
    }
    Ok(format!("{text}; {:.1} s", output.seconds))
}

/// Suggested next commands.
fn what_next(folder: &Folder, data: &str) -> anyhow::Result<Vec<String>> {
    let [best, longer, lists] = [folder.name(BEST)?, folder.name("longer")?, folder.name("lists.csv")?];
    let validated = ["--validate", "--epochs", "20", "--set", "training.patience=2"];
    Ok([
        CommandLine::new(["inspect", &best]),
        CommandLine::new(["recommend", &best, "--sessions", data, "--out", &lists]),
        CommandLine::new(["train", data, "--out", &longer]).with(validated).with(GRU4REC),
    ]
    .map(|command| command.to_string())
    .to_vec())
}
