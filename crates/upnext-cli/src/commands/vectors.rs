//! `upnext vectors`: writes the vectors of items, or of the sessions of a log, to a Parquet file.

use super::recommend::ModelDocument;
use crate::experiment::ThreadArgs;
use crate::output::{OutputArgs, thousands, warn};
use crate::progress::{Progress, Unit};
use crate::reading::ReadArgs;
use crate::{interrupt, out_file};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use upnext_core::data::{Event, EventLog, ItemIndex, PartName, PreparedFolder};
use upnext_core::model::{Model, VectorWriter};
use upnext_core::replace::replace_file;
use upnext_core::{Error, Result};

/// Number of sessions per thread in a block.
const SESSIONS_A_THREAD: usize = 960;

/// Write the vectors of a model's items, or of the sessions of a log, to a Parquet file.
///
/// Networks (gru4rec) and factor models (bpr-mf, session-average) have vectors. The product of an item's and a
/// session's, plus the item's bias, is the score, up to the model's activation. Columns: `item_id`, `vector` and, if
/// the model has biases, `bias`; with --sessions `session_id` and `vector`, that after the session's last event.
#[derive(clap::Args, Debug)]
#[command(
    mut_group("ReadArgs", |group| group.requires("sessions")),
    mut_group("ThreadArgs", |group| group.requires("sessions"))
)]
pub(crate) struct VectorsArgs {
    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// The file to write, .parquet
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// A click log, or a folder that `prepare` made (its test part): write the vectors of its sessions instead of those of
    /// the items; sessions without an item that the model knows are left out
    #[arg(long, value_name = "FILE")]
    sessions: Option<PathBuf>,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    model: ModelDocument<'a>,
    out: &'a Path,
    /// "items" or "sessions".
    of: &'static str,
    /// Number of vectors.
    vectors: u64,
    /// Number of floats in a vector.
    width: usize,
    /// Whether the file has biases.
    bias: bool,
    /// The function that makes scores of the products and biases.
    activation: String,
    #[serde(flatten)]
    skipped: Option<Skipped>,
}

/// What was left out of a log.
#[derive(Clone, Copy, Default, Serialize)]
struct Skipped {
    /// Events on items that the model does not know.
    unknown_events: u64,
    /// Sessions of such events alone.
    skipped_sessions: u64,
}

/// Runs the command.
pub(crate) fn run(args: &VectorsArgs) -> anyhow::Result<()> {
    // Errors in the arguments are reported before the model is loaded.
    let threads = args.threads.threads()?;
    let log = args.sessions.as_deref().map(|log| PreparedFolder::resolve(log, PartName::Test)).transpose()?;
    let path = check_file(&args.out, log.as_deref())?;
    let model = Model::load(&args.model)?;
    let (Some(width), Some(activation)) = (model.vector_width(), model.vector_activation()) else {
        return Err(Error::NoVectors { model: model.kind().name().to_owned() }.into());
    };
    let biases = if log.is_none() { model.item_biases() } else { None };
    let (of, id_column) = if log.is_none() { ("items", "item_id") } else { ("sessions", "session_id") };
    let events = match &log {
        Some(log) => Some(read(args, log)?),
        None => None,
    };
    let failed = |error| Error::io(&path, "write")(error);
    let (vectors, skipped) = replace_file(&path, |file: &File| {
        let mut rows = VectorWriter::new(file, id_column, width, biases.is_some()).map_err(failed)?;
        let mut write =
            |id: &str, vector: &[f32], bias| anyhow::Ok(rows.write(id, vector, bias).map_err(failed)?);
        let counts = match &events {
            None => (write_items(&model, biases.as_deref(), &mut write)?, None),
            Some(log) => {
                let work = Work { model: &model, log, width, threads, quiet: args.output.quiet };
                let (vectors, skipped) = work.run(&mut |id, vector| write(id, vector, None))?;
                (vectors, Some(skipped))
            }
        };
        rows.finish().map_err(failed)?;
        anyhow::Ok(counts)
    })?;
    if let Some(Skipped { unknown_events, skipped_sessions }) = skipped.filter(|s| s.unknown_events > 0) {
        warn(&[format!(
            "{} events are on items that the model does not know: skipped; {} sessions have no other, and are left out",
            thousands(unknown_events),
            thousands(skipped_sessions)
        )]);
    }
    let done = Done {
        model: ModelDocument::new(&args.model, &model),
        out: &args.out,
        of,
        vectors,
        width,
        bias: biases.is_some(),
        activation: activation.to_string(),
        skipped,
    };
    args.output.print(&done, |done| {
        let (vectors, width) = (thousands(done.vectors), thousands(done.width as u64));
        format!("{vectors} vectors of {} ({width} floats each) written to {}\n", done.of, done.out.display())
    })
}

/// The place of the file, if it has the name of a Parquet file.
fn check_file(out: &Path, log: Option<&Path>) -> Result<PathBuf> {
    let extension = out.extension().and_then(OsStr::to_str).unwrap_or_default();
    if !extension.eq_ignore_ascii_case("parquet") {
        return Err(out_file::refused(out, "the name must end in .parquet, which is what is written"));
    }
    out_file::check(out, log)
}

/// Reads the log, grouped by session.
fn read(args: &VectorsArgs, log: &Path) -> anyhow::Result<EventLog> {
    let mut log = args.read.read(&[log], args.output.quiet)?;
    log.group();
    warn(&log.report().warnings);
    Ok(log)
}

/// Writes a row: the id, the vector, and the bias if there is one.
type WriteRow<'w> = dyn FnMut(&str, &[f32], Option<f32>) -> anyhow::Result<()> + 'w;

/// Writes the vectors of all items in the order of the vocabulary, and returns their number.
fn write_items(model: &Model, biases: Option<&[f32]>, write: &mut WriteRow<'_>) -> anyhow::Result<u64> {
    let recommender = model.recommender();
    let mut count = 0;
    for (item, id) in (0..).zip(model.items().ids()) {
        let vector = recommender.vector(item).unwrap_or_default();
        write(id, vector, biases.map(|biases| biases[item as usize]))?;
        count += 1;
    }
    Ok(count)
}

/// A model, and a log whose sessions are to be read.
struct Work<'a> {
    model: &'a Model,
    /// The log, grouped by session.
    log: &'a EventLog,
    width: usize,
    threads: usize,
    quiet: bool,
}

impl Work<'_> {
    /// Computes the vectors, and passes each with its session's id to `each`, in the order of the log. Returns the number
    /// of vectors and what was left out.
    fn run(
        &self,
        each: &mut dyn FnMut(&str, &[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<(u64, Skipped)> {
        let items = self.model.items();
        let index: Vec<Option<ItemIndex>> = self.log.item_ids().iter().map(|id| items.index_of(id)).collect();
        let progress = Progress::new(self.quiet, "computing", Unit::Events);
        let (mut count, mut skipped, mut done) = (0, Skipped::default(), 0);
        let mut sessions = self.log.events().chunk_by(|a, b| a.session == b.session).peekable();
        while sessions.peek().is_some() {
            if interrupt::check().is_break() {
                return Err(Error::Stopped.into());
            }
            let block: Vec<&[Event]> = sessions.by_ref().take(self.threads * SESSIONS_A_THREAD).collect();
            let known = |event: &Event| index[event.item as usize];
            let histories: Vec<Vec<ItemIndex>> =
                block.iter().map(|events| events.iter().filter_map(known).collect()).collect();
            let vectors = self.vectors(&histories)?;
            for ((events, history), vector) in
                block.into_iter().zip(&histories).zip(vectors.chunks_exact(self.width))
            {
                done += events.len() as u64;
                skipped.unknown_events += (events.len() - history.len()) as u64;
                if history.is_empty() {
                    skipped.skipped_sessions += 1;
                    continue;
                }
                each(self.log.session_ids().get(events[0].session), vector)?;
                count += 1;
            }
            progress.at(done, self.log.len() as u64);
        }
        Ok((count, skipped))
    }

    /// The vectors of some sessions, on all threads.
    fn vectors(&self, histories: &[Vec<ItemIndex>]) -> Result<Vec<f32>> {
        let histories: Vec<&[ItemIndex]> = histories.iter().map(Vec::as_slice).collect();
        let share = histories.len().div_ceil(self.threads).max(1);
        let none = || Error::NoVectors { model: self.model.kind().name().to_owned() };
        std::thread::scope(|scope| {
            let model = self.model;
            let threads: Vec<_> = histories
                .chunks(share)
                .map(|share| scope.spawn(move || model.session_vectors(share)))
                .collect();
            let mut vectors = Vec::with_capacity(self.width * histories.len());
            for thread in threads {
                let share = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                vectors.extend(share.ok_or_else(none)?);
            }
            Ok(vectors)
        })
    }
}
