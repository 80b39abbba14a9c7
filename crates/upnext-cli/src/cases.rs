//! The arguments and the file of an evaluation's cases.

use crate::interrupt;
use crate::next_clicks::Unknown;
use crate::numbers::one_or_more;
use crate::out_file::will_lie_in;
use std::fs::File;
use std::path::{Path, PathBuf};
use upnext_core::data::{ItemVocabulary, TestSessions};
use upnext_core::evaluation::{CaseFormat, CaseRow, CaseWriter, Evaluation, RankedCase};
use upnext_core::model::Model;
use upnext_core::ranking::Filter;

/// Number of cases whose lists are computed at a time.
const BLOCK: usize = 4096;

/// The arguments about the cases of an evaluation.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct CaseArgs {
    /// What happens to next clicks on items that training has not seen
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) unknown: Unknown,

    /// Write every case to this file (.csv or .parquet): session, target, its rank under each tie rule
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: Option<PathBuf>,

    /// Add the list of this many best items to every case
    #[arg(long, value_name = "N", requires = "cases", value_parser = one_or_more::<usize>)]
    pub(crate) case_lists: Option<usize>,
}

impl CaseArgs {
    /// The file of the cases, if it is asked for, and its format; `inputs` are files and folders that it must not replace or
    /// lie in. Call it before hours of work.
    pub(crate) fn check(&self, inputs: &[&Path]) -> upnext_core::Result<Option<(&Path, CaseFormat)>> {
        let Some(path) = self.cases.as_deref() else { return Ok(None) };
        let refused =
            |reason: &str| upnext_core::Error::config("--cases", format!("{}: {reason}", path.display()));
        let format = CaseFormat::of(path)
            .ok_or_else(|| refused("the name must end in .csv or .parquet, which says what is written"))?;
        for input in inputs {
            let is_input = matches!((path.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b);
            if is_input || (input.is_dir() && will_lie_in(path, input)) {
                return Err(refused("is what is read, or lies in it: choose another place"));
            }
        }
        upnext_core::replace::check_file(path)?;
        Ok(Some((path, format)))
    }
}

/// Writes the cases of models to a file.
pub(crate) struct CaseFile<'f> {
    writer: CaseWriter<&'f File>,
    path: &'f Path,
    unknown: Unknown,
    list_length: usize,
    threads: usize,
}

impl<'f> CaseFile<'f> {
    /// Begins the file; `has_models` adds the column `model`.
    pub(crate) fn begin(
        args: &CaseArgs,
        (path, format): (&'f Path, CaseFormat),
        file: &'f File,
        has_models: bool,
        threads: usize,
    ) -> upnext_core::Result<Self> {
        let list_length = args.case_lists.unwrap_or(0);
        let writer = CaseWriter::new(file, format, has_models, list_length > 0)
            .map_err(upnext_core::Error::io(path, "write"))?;
        Ok(Self { writer, path, unknown: args.unknown, list_length, threads })
    }

    /// Writes the cases of a model. `items` is the vocabulary of the sessions.
    pub(crate) fn write(
        &mut self,
        (name, model): (&str, &Model),
        (test, items): (&TestSessions, &ItemVocabulary),
        evaluation: &Evaluation,
    ) -> anyhow::Result<()> {
        let mut rows: Vec<(u32, u32, &str, Option<&RankedCase>)> = Vec::new();
        for case in &evaluation.ranked {
            let (session, target) = (case.session as usize, case.position as usize + 1);
            let id = items.id(test.sessions.session(session)[target]);
            rows.push((case.session, test.position(session, target), id, Some(case)));
        }
        if self.unknown == Unknown::Miss {
            rows.extend(test.missed.iter().map(|click| (click.session, click.position, &*click.item, None)));
            rows.sort_by_key(|&(session, position, ..)| (session, position));
        }
        for block in rows.chunks(BLOCK) {
            let lists = self.lists(model, (test, items), block)?;
            for (i, &(session, position, item_id, case)) in block.iter().enumerate() {
                let list = lists.get(i).map_or(&[][..], Vec::as_slice);
                let session_id = &*test.ids[session as usize];
                let row = CaseRow { model: name, session_id, position, item_id, case, list };
                self.writer.write(&row).map_err(upnext_core::Error::io(self.path, "write"))?;
            }
        }
        Ok(())
    }

    /// The lists of the rows, if they are asked for; empty ones for next clicks that were not ranked.
    fn lists(
        &self,
        model: &Model,
        (test, items): (&TestSessions, &ItemVocabulary),
        rows: &[(u32, u32, &str, Option<&RankedCase>)],
    ) -> anyhow::Result<Vec<Vec<String>>> {
        // The writer is not shared with the threads.
        let (length, threads) = (self.list_length, self.threads);
        if length == 0 {
            return Ok(Vec::new());
        }
        let history = |case: &RankedCase| -> Vec<&str> {
            let session = test.sessions.session(case.session as usize);
            session[..=case.position as usize].iter().map(|&item| items.id(item)).collect()
        };
        let of_rows =
            |rows: &[(u32, u32, &str, Option<&RankedCase>)]| -> upnext_core::Result<Vec<Vec<String>>> {
                let histories: Vec<Vec<&str>> =
                    rows.iter().filter_map(|(.., case)| case.map(history)).collect();
                let go_on = &mut interrupt::check;
                let lists = model.recommend_observed(&histories, length, &Filter::default(), go_on)?;
                let mut lists = lists.into_iter();
                let of_row = |case: &Option<&RankedCase>| {
                    let list = case.and_then(|_| lists.next()).map(|list| list.items).unwrap_or_default();
                    list.into_iter().map(|item| item.id).collect()
                };
                Ok(rows.iter().map(|(.., case)| case).map(of_row).collect())
            };
        let share = rows.len().div_ceil(threads).max(1);
        let parts: Vec<upnext_core::Result<Vec<Vec<String>>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = rows.chunks(share).map(|rows| scope.spawn(|| of_rows(rows))).collect();
            let joined = threads.into_iter().map(|thread| match thread.join() {
                Ok(lists) => lists,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        });
        Ok(parts.into_iter().collect::<upnext_core::Result<Vec<_>>>()?.concat())
    }

    /// Ends the file; without this call it is incomplete.
    pub(crate) fn finish(self) -> upnext_core::Result<()> {
        self.writer.finish().map_err(upnext_core::Error::io(self.path, "write"))
    }
}
