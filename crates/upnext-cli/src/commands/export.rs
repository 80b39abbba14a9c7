//! `upnext export`: writes a model in the format of other programs.

use super::recommend::ModelDocument;
use crate::numbers::one_or_more;
use crate::out_file;
use crate::output::{OutputArgs, thousands};
use serde::Serialize;
use std::path::{Path, PathBuf};
use upnext_core::model::Model;
use upnext_core::onnx::{export, items_file};

/// Write a network in the format of another runtime.
///
/// An ONNX graph reads one event of each session and the session's states, and gives the scores of the next item and the new
/// states. The ids of its items are written beside it, as a JSON list in the order of the indices that the graph reads. Only
/// networks (gru4rec) have a graph; that of a network in a blend is written by MODEL/members/NAME.
#[derive(clap::Args, Debug)]
pub(crate) struct ExportArgs {
    /// The format
    #[arg(value_enum, value_name = "FORMAT")]
    format: FormatArg,

    /// The model's folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// The file to write, .onnx
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Give the K best items and their scores instead of all scores
    #[arg(short, value_name = "K", value_parser = one_or_more::<usize>)]
    k: Option<usize>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// Open Neural Network Exchange, operators of opset 17
    Onnx,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    model: ModelDocument<'a>,
    out: &'a Path,
    items: PathBuf,
    bytes: u64,
}

/// Runs the command.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let FormatArg::Onnx = args.format;
    let path = out_file::check(&args.out, None)?;
    let model = Model::load(&args.model)?;
    export(&model, &path, args.k)?;
    let bytes = std::fs::metadata(&path).map_err(upnext_core::Error::io(&path, "read"))?.len();
    let done = Done {
        model: ModelDocument::new(&args.model, &model),
        out: &args.out,
        items: items_file(&args.out),
        bytes,
    };
    args.output.print(&done, |done| {
        format!(
            "{}: {} bytes\nids of its items in {}\n",
            done.out.display(),
            thousands(done.bytes),
            done.items.display()
        )
    })
}
