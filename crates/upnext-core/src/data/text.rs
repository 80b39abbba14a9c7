//! Reads CSV, TSV and similar text into an [`EventLog`](super::EventLog).

use super::cells::Cell;
use super::columns;
use super::folder::PreparedFolder;
use super::layout::{self, Fields};
use super::normalize::IdRules;
use super::options::{Header, Quote, ReadOptions};
use super::parts::InputFile;
use super::quotes::{self, LAST_ROW, LineEnds, OpenQuote, QuoteCheck};
use super::read::{Progress, Reading};
use super::replace_delimiter::Replaced;
use super::report::{FileReport, RowProblem};
use super::row_reader::{Origin, RowReader};
use super::source::TextSource;
use super::time::TimeUnit;
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Number of rows between two calls of the progress callback.
const ROWS_PER_PROGRESS: u64 = 8192;

/// Appends the events of a text file to the log.
///
/// # Errors
/// As [`EventLog::read`](super::EventLog::read).
pub(super) fn read(
    source: TextSource,
    input: &InputFile,
    options: &ReadOptions,
    reading: &mut Reading,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = input.path.as_path();
    let line_ends = LineEnds::of(&source.sample);
    let (compression, encoding) = (source.compression, source.encoding);
    let bytes_read = Arc::clone(&source.bytes_read);
    let is_own = PreparedFolder::is_part(path);
    let of_own;
    let options = if is_own {
        of_own = options_of_own(options);
        &of_own
    } else {
        options
    };
    let layout = layout::of_text(path, options, &source.sample, source.complete);
    let found = layout.and_then(|layout| {
        let earlier = reading.earlier.as_ref();
        Ok((columns::find(path, options, &layout.sample, &input.partitions, earlier)?, layout))
    });
    let (columns, layout) = found.map_err(|error| {
        // A field that swallows the first rows hides their columns.
        let delimiter = options.delimiter.clone();
        let fields = layout::fields_of(
            delimiter,
            options.quote,
            &source.sample,
            source.complete,
            layout::LOG_DELIMITERS,
        );
        quotes::in_sample(&source.sample, &fields, options.quote).map_or(error, |open| open_quote(path, open))
    })?;
    reading.earlier = Some(columns.clone());
    let width = layout.sample.count;
    let text: Box<dyn Read> = match layout.fields.delimiter.len() {
        1 => Box::new(source.into_reader().chain(LAST_ROW)),
        _ => Box::new(Replaced::new(source.into_reader(), &layout.fields.delimiter).chain(LAST_ROW)),
    };
    let mut reader = layout.fields.reader().buffer_capacity(256 * 1024).from_reader(text);
    let mut quotes = QuoteCheck::new(layout.fields.byte(), options.quote, line_ends);
    let rules = if is_own { IdRules::exact() } else { IdRules::new(options) };
    let mut rows =
        RowReader::new((path, "line"), columns, options, rules, (&mut reading.log, &mut reading.watch))
            .with_header(layout.sample.names);
    let mut record = ByteRecord::new();
    let (mut skip, mut is_closed) = (layout.skipped_rows, false);
    while reader.read_byte_record(&mut record).map_err(|error| {
        let error = match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => std::io::Error::other(format!("{other:?}")),
        };
        TextSource::error(path, compression, error)
    })? {
        if let Some(open) = quotes.check(&record, reader.position(), width) {
            return Err(open_quote(path, open));
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        is_closed = quotes::is_last(&record);
        if is_closed {
            break;
        }
        if record.len() == width {
            let origin = Origin { position: quotes.line, element: 0 };
            rows.row(origin, width, |at| record.get(at).map(Cell::Text))?;
        } else {
            uneven(&mut rows, quotes.line, &record, width)?;
        }
        if rows.rows().is_multiple_of(ROWS_PER_PROGRESS) {
            progress.at(bytes_read.load(Ordering::Relaxed), rows.events())?;
        }
    }
    if !is_closed {
        return Err(open_quote(path, OpenQuote { line: quotes.line, until: None }));
    }
    progress.at(bytes_read.load(Ordering::Relaxed), rows.events())?;
    if rows.rows() == 0 {
        return Err(Error::NoEvents { path: path.to_owned(), found: "there is only a header line" });
    }
    let mut report = FileReport {
        path: path.to_owned(),
        format: format_name(&layout.fields),
        compression: compression.map(str::to_owned),
        encoding: encoding.map(str::to_owned),
        header: layout.skipped_rows > layout.preamble,
        ..FileReport::default()
    };
    if layout.preamble > 0 {
        let lines = if layout.preamble == 1 { "line stands" } else { "lines stand" };
        report.guesses.push(format!("the first {} {lines} before the log", layout.preamble));
    }
    report.warnings.extend(quotes.warning());
    rows.finish(report)
}

/// Reads a row that has not as many fields as the others.
#[cold]
fn uneven(rows: &mut RowReader<'_>, line: u64, record: &ByteRecord, width: usize) -> Result<()> {
    let is_blank = |field: &[u8]| field.trim_ascii().is_empty() || field == b"\x1a";
    let found = record.len() - record.iter().rev().take_while(|field| is_blank(field)).count();
    if found == 0 {
        return Ok(()); // white space, or the end-of-file character of DOS
    }
    if found > width && !rows.is_prefix(width) {
        rows.bad(line, RowProblem::TooManyFields { found, usual: width });
    } else if record.len() < width && record.as_slice().contains(&0) {
        rows.bad(line, RowProblem::NulByte { column: "the row".to_owned() });
    } else {
        rows.count_longer(found > width);
        let origin = Origin { position: line, element: 0 };
        rows.row(origin, record.len(), |at| record.get(at).map(Cell::Text))?;
    }
    Ok(())
}

/// The options for a part that `prepare` wrote, whose layout is known.
fn options_of_own(options: &ReadOptions) -> ReadOptions {
    let mut options = options.clone();
    (options.delimiter, options.quote, options.header) = (Some("\t".to_owned()), Quote::Double, Header::Yes);
    (options.time_unit, options.time_format) = (TimeUnit::S, None);
    options
}

fn open_quote(path: &std::path::Path, open: OpenQuote) -> Error {
    Error::OpenQuote { path: path.to_owned(), line: open.line, until: open.until }
}

fn format_name(fields: &Fields) -> String {
    match fields.delimiter.as_str() {
        "\t" => "tab-separated text".to_owned(),
        "," => "comma-separated text".to_owned(),
        " " => "text separated by spaces".to_owned(),
        other => format!("text separated by {other:?}"),
    }
}
