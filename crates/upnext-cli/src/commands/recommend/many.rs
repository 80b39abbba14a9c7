//! Recommendations for all sessions of a log, in blocks, so that memory does not grow with their number.

use super::{ListDocument, ModelDocument, RecommendArgs, document_of};
use crate::output::{StdoutClosed, named, print, thousands, warn};
use crate::progress::{Progress, Unit};
use crate::{interrupt, out_file};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use upnext_core::data::{Event, EventLog, ItemIndex, PartName, PreparedFolder};
use upnext_core::model::Model;
use upnext_core::ranking::{Filter, ListFormat, ListWriter, RecommendationList, recommend_parallel};
use upnext_core::replace::replace_file;

/// Maximum number of sessions per thread in a block; the limit for short lists.
const SESSIONS_A_THREAD: usize = 960;
/// Maximum number of list entries per thread in a block; the limit for long lists.
const ENTRIES_A_THREAD: usize = 1 << 20;

/// The log, and the destination of the lists.
pub(super) struct Sink {
    log: PathBuf,
    out: Out,
    threads: usize,
}

enum Out {
    File(PathBuf, ListFormat),
    Csv,
    Json,
}

impl Sink {
    /// Checks that the lists can be written and would not replace the log.
    pub(super) fn new(args: &RecommendArgs, log: &Path) -> anyhow::Result<Self> {
        let log = PreparedFolder::resolve(log, PartName::Test)?;
        let out = match args.out.as_deref().filter(|out| *out != Path::new("-")) {
            Some(out) => {
                let (path, format) = check_file(out, &log)?;
                Out::File(path, format)
            }
            None if args.output.json => Out::Json,
            None => Out::Csv,
        };
        Ok(Self { log, out, threads: args.threads.threads()? })
    }
}

/// The file to write, and its format by its name.
fn check_file(out: &Path, log: &Path) -> upnext_core::Result<(PathBuf, ListFormat)> {
    let format = ListFormat::of(out).ok_or_else(|| {
        let endings: Vec<String> = ListFormat::EXTENSIONS.iter().map(|(e, _)| format!(".{e}")).collect();
        let endings = endings.join(", ");
        out_file::refused(out, &format!("the name must end in one of {endings}, which says what is written"))
    })?;
    Ok((out_file::check(out, Some(log))?, format))
}

/// Counts of what was recommended and skipped.
#[derive(Default, Serialize)]
struct Counts {
    sessions: u64,
    /// Sessions that got the most popular items.
    fell_back: u64,
    /// Recommended items in all lists.
    recommendations: u64,
    /// Events on unknown items.
    unknown_events: u64,
    /// Different unknown items.
    unknown_items: u64,
}

/// The document of `--json` if the lists are written to a file.
#[derive(Serialize)]
struct Done<'a> {
    model: ModelDocument<'a>,
    out: &'a Path,
    #[serde(flatten)]
    counts: Counts,
}

/// Recommends for all sessions of the log.
pub(super) fn run(args: &RecommendArgs, sink: &Sink, model: &Model, filter: &Filter) -> anyhow::Result<()> {
    let mut log = args.read.read(&[&sink.log], args.output.quiet)?;
    log.group();
    warn(&log.report().warnings);
    let index: Vec<Option<ItemIndex>> = log.item_ids().iter().map(|id| model.items().index_of(id)).collect();
    let work = Work { args, model, filter, log: &log, index: &index, threads: sink.threads };
    match &sink.out {
        Out::File(path, format) => {
            let failed = |error| upnext_core::Error::io(path, "write")(error);
            let counts = replace_file(path, |file: &File| {
                let mut lists =
                    ListWriter::new(file, (*format, args.rows()), model.items()).map_err(failed)?;
                let counts = work.run(&mut |session, list| {
                    Ok(lists.write(log.session_ids().get(session[0].session), list).map_err(failed)?)
                })?;
                lists.finish().map_err(failed)?;
                anyhow::Ok(counts)
            })?;
            work.report(&counts);
            let out = args.out.as_deref().unwrap_or(path);
            args.output.print(&Done { model: document_of(args, model), out, counts }, |done| {
                format!(
                    "{} recommendations to {} sessions written to {}\n",
                    thousands(done.counts.recommendations),
                    thousands(done.counts.sessions),
                    done.out.display()
                )
            })
        }
        Out::Csv => {
            let mut lists = ListWriter::new(io::stdout(), (ListFormat::Csv, args.rows()), model.items())
                .map_err(to_stdout)?;
            let counts = work.run(&mut |session, list| {
                lists.write(log.session_ids().get(session[0].session), list).map_err(to_stdout)
            })?;
            lists.finish().map_err(to_stdout)?;
            work.report(&counts);
            Ok(())
        }
        Out::Json => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let mut before = "[\n";
            let counts = work.run(&mut |session, list| {
                let ids = session.iter().map(|event| log.item_ids().get(event.item)).collect();
                let session_id = log.session_ids().get(session[0].session);
                let document =
                    ListDocument::new(document_of(args, model), model.items(), Some(session_id), ids, list);
                let json = serde_json::to_string(&document)?;
                write!(out, "{before}{json}").map_err(to_stdout)?;
                before = ",\n";
                Ok(())
            })?;
            out.flush().map_err(to_stdout)?;
            drop(out);
            print("\n]\n")?;
            work.report(&counts);
            Ok(())
        }
    }
}

fn to_stdout(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StdoutClosed.into(),
        _ => anyhow::Error::new(error).context("cannot write to stdout"),
    }
}

/// A log, a model and the options of the lists.
struct Work<'a> {
    args: &'a RecommendArgs,
    model: &'a Model,
    filter: &'a Filter,
    /// The log, grouped by session.
    log: &'a EventLog,
    /// The model's index of each item of the log; `None` for unknown items.
    index: &'a [Option<ItemIndex>],
    threads: usize,
}

impl Work<'_> {
    /// Computes the lists, and passes each with its session's events to `each`, in the order of the log.
    fn run(
        &self,
        each: &mut dyn FnMut(&[Event], &RecommendationList) -> anyhow::Result<()>,
    ) -> anyhow::Result<Counts> {
        let threads = self.threads;
        let k = self.args.k.min(self.model.items().len()).max(1);
        let block = threads * (ENTRIES_A_THREAD / k).clamp(1, SESSIONS_A_THREAD);
        let progress = Progress::new(self.args.output.quiet, "ranking", Unit::Events);
        let mut counts = Counts::default();
        let mut sessions = self.log.events().chunk_by(|a, b| a.session == b.session).peekable();
        let mut done = 0;
        while sessions.peek().is_some() {
            let block: Vec<&[Event]> = sessions.by_ref().take(block).collect();
            let known = |event: &Event| self.index[event.item as usize];
            let histories: Vec<Vec<ItemIndex>> =
                block.iter().map(|events| events.iter().filter_map(known).collect()).collect();
            let histories: Vec<&[ItemIndex]> = histories.iter().map(Vec::as_slice).collect();
            let model = self.model.recommender();
            let (items, go_on) = (self.model.items(), &interrupt::check);
            let lists = recommend_parallel(threads, model, items, &histories, k, self.filter, go_on)?;
            for ((events, history), list) in block.into_iter().zip(histories).zip(&lists) {
                counts.sessions += 1;
                counts.fell_back += u64::from(list.fell_back);
                counts.recommendations += list.entries.len() as u64;
                counts.unknown_events += (events.len() - history.len()) as u64;
                each(events, list)?;
                done += events.len() as u64;
            }
            progress.at(done, self.log.len() as u64);
        }
        counts.unknown_items = self.unknown().count() as u64;
        Ok(counts)
    }

    /// The item ids of the log that are unknown to the model.
    fn unknown(&self) -> impl Iterator<Item = &str> {
        self.log.item_ids().iter().zip(self.index).filter(|(_, index)| index.is_none()).map(|(id, _)| id)
    }

    /// Reports on stderr what was skipped.
    fn report(&self, counts: &Counts) {
        if counts.unknown_events > 0 {
            let unknown: Vec<&str> = self.unknown().collect();
            warn(&[format!(
                "the model does not know {} of the log's items: {}: skipped {} of {} events",
                thousands(counts.unknown_items),
                named(&unknown, unknown.len()),
                thousands(counts.unknown_events),
                thousands(self.log.len() as u64)
            )]);
        }
        if counts.fell_back > 0 {
            warn(&[format!(
                "{} of {} sessions have no item that the model knows, and get the most popular items",
                thousands(counts.fell_back),
                thousands(counts.sessions)
            )]);
        }
    }
}
