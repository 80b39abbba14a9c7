//! Models of a small shop in a temporary folder, trained with the library, for tests of commands that use models.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use upnext_core::data::items::{ItemTable, ItemTableOptions};
use upnext_core::data::{Dataset, EventLog};
use upnext_core::experiment::{Experiment, ModelConfig, ModelKind};
use upnext_core::model::Model;
use upnext_core::simulate::{SimulateOptions, simulate};
use upnext_core::training::{TrainingPlan, train};

/// An item id that cannot be given with `--session`.
pub(crate) const WITH_COMMA: &str = "cup, blue";

pub(crate) struct Shop {
    place: tempfile::TempDir,
    data: Dataset,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let mut log = EventLog::new();
        let options = SimulateOptions { sessions: 400, items: 60, days: 1, ..SimulateOptions::default() };
        for event in simulate(&options).unwrap() {
            log.push(&event.session.to_string(), &event.item.to_string(), event.time_ms * 1000);
        }
        for session in ["x", "y"] {
            log.push(session, WITH_COMMA, 1);
            log.push(session, "line\nbreak", 2);
        }
        let (data, _) = Dataset::from_log(log).unwrap();
        let place = tempfile::tempdir().unwrap();
        // Without titles, which lists would show.
        let rows: String = (0..60).map(|item| format!("{item},{}\n", ["a", "b", "c"][item % 3])).collect();
        let table = place.path().join("attributes.csv");
        std::fs::write(&table, format!("item_id,shelf\n{rows}\"{WITH_COMMA}\",a\n\"line\nbreak\",b\n"))
            .unwrap();
        let table_read = ItemTable::read(&table, &ItemTableOptions::default()).unwrap();
        std::fs::remove_file(table).unwrap();
        Self { place, data: data.with_item_table(table_read) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of the files in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.place.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Trains a model of a kind and saves it in the folder of the kind's name.
    pub(crate) fn train(&self, kind: ModelKind) -> (PathBuf, Model) {
        self.train_with(kind, |_| ControlFlow::Continue(()))
    }

    /// As [`train`](Self::train), with an observer that can stop after a mini-batch, which leaves only a checkpoint.
    pub(crate) fn train_with(
        &self,
        kind: ModelKind,
        observer: impl Fn(u64) -> ControlFlow<()>,
    ) -> (PathBuf, Model) {
        let mut experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
        if kind == ModelKind::Gru4rec {
            for assignment in [
                "model.layers=8",
                "training.epochs=3",
                "training.batch_size=16",
                "training.samples=32",
                "training.learning_rate=0.05",
            ] {
                experiment.set(assignment).unwrap();
            }
        }
        let out = self.path(kind.name());
        let plan = TrainingPlan {
            data: Arc::new(self.data.clone()),
            validation: Some(&self.data.sessions),
            refit: None,
            experiment: &experiment,
            threads: 1,
            out: &out,
            init: None,
            resume: false,
            checkpoint_every: Duration::MAX,
            keep_training_state: true,
        };
        let outcome = train(plan, &mut |event| match event {
            upnext_core::FitEvent::MiniBatch(progress) => observer(progress.mini_batches),
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
        let path = if out.exists() { out } else { outcome.checkpoint };
        let model = Model::load(&path).unwrap();
        (path, model)
    }
}

pub(crate) fn upnext<A: AsRef<std::ffi::OsStr>>(command: &str, model: &Path, more: &[A]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upnext")).arg(command).arg(model).args(more).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The JSON document on stdout.
pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Checks that the command failed with this exit code and these words in its message, and printed nothing on stdout.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {message}");
    assert!(output.stdout.is_empty(), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} in {message}");
    assert!(!message.contains("panicked"), "{message}");
}

/// The path of a model's file with this role.
pub(crate) fn file_of(model: &Path, role: &str) -> PathBuf {
    let manifest = upnext_core::artifact::Manifest::load(model).unwrap();
    model.join(&manifest.file(role).unwrap().file)
}

/// Copies of a model with each kind of detectable damage, and the words that the error must contain.
pub(crate) fn damaged_models(shop: &Shop, model: &Path) -> Vec<(PathBuf, Vec<&'static str>)> {
    let copy = |name: &str| {
        let to = shop.path(name);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(model).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
        to
    };
    let edited = |name: &str, from: &str, to: &str| {
        let path = copy(name);
        let manifest = path.join("manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(manifest, text.replace(from, to)).unwrap();
        path
    };
    let truncated = copy("truncated");
    let weights = std::fs::OpenOptions::new().write(true).open(file_of(&truncated, "weights")).unwrap();
    weights.set_len(100).unwrap();
    let incomplete = copy("incomplete");
    std::fs::remove_file(file_of(&incomplete, "items")).unwrap();
    let cut = copy("cut");
    std::fs::write(cut.join("manifest.json"), "{\"format\": \"upnext-model\",").unwrap();
    vec![
        (truncated, vec!["weights-", "truncated", "copy the whole model folder again"]),
        (incomplete, vec!["items-", "missing"]),
        (cut, vec!["manifest.json:1:"]),
        (edited("foreign", "\"upnext-model\"", "\"web-extension\""), vec!["manifest.json", "model folder"]),
        (
            edited("newer", "\"format_version\": 2", "\"format_version\": 99"),
            vec!["manifest.json", "format 99"],
        ),
        (
            edited("other", "\"layers\": [\n        8\n", "\"layers\": [\n        9\n"),
            vec!["other", "parameter"],
        ),
    ]
}
