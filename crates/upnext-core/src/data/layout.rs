//! The layout of a text file: delimiter, quotation, the rows before the first event, and the names of the columns.

use super::columns::Sample;
use super::names::{Role, find_wanted, shortened};
use super::options::{Header, Quote, ReadOptions};
use super::time::{TimeUnit, number};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::path::Path;

/// Number of rows at the beginning of a file from which its layout and its columns are found.
const SAMPLE_ROWS: usize = 2_000;

/// The most rows before the header.
const MAX_PREAMBLE: usize = 50;

/// How the fields of a text file are separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    /// One or more ASCII characters.
    pub(super) delimiter: String,
    /// Whether fields can be quoted.
    pub(super) quoting: bool,
    /// Whether a backslash escapes a quotation mark.
    pub(super) backslash: bool,
}

/// The delimiters that are detected in logs, and in tables of items, whose texts have spaces and may have no other field.
pub(super) const LOG_DELIMITERS: &[&str] = &["\t", ",", ";", "|", "::", " "];
pub(super) const TABLE_DELIMITERS: &[&str] = &["\t", ",", ";", "|"];

/// The byte that stands for a delimiter of several characters while fields are separated: the unit separator of ASCII.
pub(super) const SEPARATOR: u8 = 0x1f;

impl Fields {
    /// The byte that separates fields, after [`SEPARATOR`] has replaced a longer delimiter.
    pub(super) fn byte(&self) -> u8 {
        match self.delimiter.as_bytes() {
            [byte] => *byte,
            _ => SEPARATOR,
        }
    }

    /// A reader of rows.
    pub(super) fn reader(&self) -> csv::ReaderBuilder {
        let mut reader = csv::ReaderBuilder::new();
        reader.delimiter(self.byte()).quoting(self.quoting).has_headers(false).flexible(true);
        if self.backslash {
            reader.escape(Some(b'\\'));
        }
        reader
    }

    /// A text in which one byte separates fields, as [`byte`](Self::byte) says.
    pub(super) fn separated<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.delimiter.len() == 1 {
            return Cow::Borrowed(text);
        }
        let separator = char::from(SEPARATOR).to_string();
        Cow::Owned(String::from_utf8_lossy(text).replace(&self.delimiter, &separator).into_bytes())
    }

    /// The first rows of `sample`, without a last row that may be incomplete.
    fn rows(&self, sample: &[u8], complete: bool) -> Vec<Vec<String>> {
        let sample = self.separated(sample);
        let mut reader = self.reader().from_reader(&sample[..]);
        let mut rows: Vec<Vec<String>> = reader
            .byte_records()
            .take(SAMPLE_ROWS)
            .map_while(|record| record.ok())
            .map(|record| record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect())
            .collect();
        if !complete && rows.len() > 1 && rows.len() < SAMPLE_ROWS {
            rows.pop();
        }
        rows
    }
}

/// The layout of a text file.
#[derive(Clone, Debug)]
pub(super) struct TextLayout {
    pub(super) fields: Fields,
    /// Rows before the first event: lines of comments, and the header.
    pub(super) skipped_rows: usize,
    /// Rows before the header.
    pub(super) preamble: usize,
    pub(super) sample: Sample,
}

/// What all part files of a folder must have in common.
#[derive(Clone, Debug)]
pub(super) struct PartColumns {
    /// "text", "JSON", "Parquet" or "Arrow".
    pub(super) kind: &'static str,
    pub(super) names: Option<Vec<String>>,
    pub(super) count: usize,
}

impl PartColumns {
    /// Describes how this file differs from `other`; `None` if it does not. The order of columns may differ.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return Some(format!("is {}, and the other is {}", self.kind, other.kind));
        }
        match (&self.names, &other.names) {
            // A key that an object lacks is a null.
            (Some(_), Some(_)) if self.kind == "JSON" => None,
            (Some(names), Some(others)) => {
                let lacking = |a: &[String], b: &[String]| {
                    let lacking = a.iter().filter(|name| !b.contains(name)).take(10);
                    lacking.map(|name| shortened(name)).collect::<Vec<_>>().join(", ")
                };
                let (more, fewer) = (lacking(names, others), lacking(others, names));
                match (more.is_empty(), fewer.is_empty()) {
                    (true, true) => None,
                    (false, true) => Some(format!("has the columns {more}, which the other lacks")),
                    (true, false) => Some(format!("lacks the columns {fewer} of the other")),
                    (false, false) => Some(format!("has the columns {more} in place of {fewer}")),
                }
            }
            (None, None) if self.count == other.count => None,
            (None, None) => Some(format!("has {} columns, and the other has {}", self.count, other.count)),
            (Some(_), None) => {
                Some("begins with the names of its columns, and the other does not".to_owned())
            }
            (None, Some(_)) => {
                Some("does not begin with the names of its columns, as the other does".to_owned())
            }
        }
    }
}

/// Detects the layout of a text file that begins with `sample`.
///
/// # Errors
/// [`Error::NoEvents`] if there is only a header.
pub(super) fn of_text(
    path: &Path,
    options: &ReadOptions,
    sample: &[u8],
    complete: bool,
) -> Result<TextLayout> {
    let (declared, rest) = declared_delimiter(sample);
    let delimiter = options.delimiter.clone().or(declared);
    let fields = fields_of(delimiter, options.quote, rest, complete, LOG_DELIMITERS);
    let mut rows = fields.rows(sample, complete);
    if rows.is_empty() {
        return Err(Error::NoEvents { path: path.to_owned(), found: "the file is empty" });
    }
    let mut preamble = preamble(&rows, usize::from(rest.len() < sample.len()));
    let (header_in_comment, mut first) = header_in_comment(&rows, preamble);
    preamble -= usize::from(header_in_comment);
    if !header_in_comment {
        first = rows[preamble.min(rows.len() - 1)].clone();
    }
    let mut header = match options.header {
        Header::Yes => true,
        Header::No => false,
        Header::Auto => {
            header_in_comment || is_header(options, &first, &rows[preamble.min(rows.len() - 1) + 1..])
        }
    };
    let is_named = known_names(options, &first) >= 2 || header_in_comment;
    if options.header != Header::No
        && !is_named
        && (!header || options.header == Header::Yes)
        && let Some(at) = preamble.checked_sub(1)
        && let Some(names) = short_header(path, options, &rows[at], &rows[preamble..])?
    {
        (first, header) = (names, true);
        preamble -= 1;
    }
    rows.drain(..preamble.min(rows.len() - 1));
    if header {
        rows.remove(0);
    }
    if rows.is_empty() && complete {
        return Err(Error::NoEvents { path: path.to_owned(), found: "there is only a header line" });
    }
    let count = first.len().max(usual_count(rows.iter().map(Vec::len)));
    let names = header.then(|| {
        let mut names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
        // pandas writes its index without a name; rows may end in a delimiter.
        names.resize(count, String::new());
        names
    });
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(rows.len()); count];
    for row in rows {
        let mut fields = row.into_iter();
        columns.iter_mut().for_each(|column| column.push(fields.next()));
    }
    let sample = Sample { names, count, columns, ..Sample::default() };
    Ok(TextLayout { fields, skipped_rows: preamble + usize::from(header), preamble, sample })
}

/// The delimiter in a first line `sep=;`, as spreadsheets write it, and the text after that line.
fn declared_delimiter(sample: &[u8]) -> (Option<String>, &[u8]) {
    let line = sample.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match line.trim_ascii_end() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] if delimiter.is_ascii() => {
            let rest = sample.get(line.len() + 1..).unwrap_or_default();
            (Some(char::from(*delimiter).to_string()), rest)
        }
        _ => (None, sample),
    }
}

/// How the fields of a file are separated that begins with `sample`. Without a delimiter, it is detected
/// among `candidates`.
pub(super) fn fields_of(
    delimiter: Option<String>,
    quote: Quote,
    sample: &[u8],
    complete: bool,
    candidates: &[&str],
) -> Fields {
    match delimiter {
        Some(delimiter) => with_quotes(delimiter, quote, sample),
        None => guess_fields(quote, sample, complete, candidates),
    }
}

/// The fields of a file with this delimiter.
fn with_quotes(delimiter: String, quote: Quote, sample: &[u8]) -> Fields {
    let is_tab = delimiter == "\t";
    let quoting = match quote {
        Quote::Double => true,
        Quote::None => false,
        Quote::Auto => !is_tab || has_quoted_fields(sample, &delimiter),
    };
    Fields { delimiter, quoting, backslash: quoting && has_escaped_quotes(sample) }
}

/// Whether a field begins and ends with a quotation mark.
fn has_quoted_fields(sample: &[u8], delimiter: &str) -> bool {
    let text = String::from_utf8_lossy(sample);
    let mut fields = text.lines().take(SAMPLE_ROWS).flat_map(|line| line.split(delimiter));
    fields.any(|field| field.len() > 1 && field.starts_with('"') && field.ends_with('"'))
}

/// Whether quotation marks within fields are escaped by a backslash.
fn has_escaped_quotes(sample: &[u8]) -> bool {
    sample.windows(3).any(|bytes| {
        bytes.starts_with(b"\\\"") && !matches!(bytes[2], b',' | b';' | b'\t' | b'|' | b'\n' | b'\r')
    })
}

/// The delimiter that gives most rows the same number of fields, at least three if possible. One that gives all of them
/// the same number, the first one included, goes before one that does not: fields may be lists.
fn guess_fields(quote: Quote, sample: &[u8], complete: bool, candidates: &[&str]) -> Fields {
    /// Whether it separates a table, its fields (three are enough), the percentage of rows with as many, whether the first
    /// has as many, and its fields.
    type Score = (bool, usize, usize, bool, usize);
    let mut best: Option<(Score, Fields)> = None;
    for &delimiter in candidates {
        let fields = with_quotes(delimiter.to_owned(), quote, sample);
        let rows = fields.rows(sample, complete);
        let usual = usual_count(rows.iter().map(Vec::len));
        let even = rows.iter().filter(|row| row.len() == usual).count() * 100 / rows.len().max(1);
        let first_is_usual = rows.first().is_some_and(|row| row.len() == usual);
        let is_table = usual > 1 && first_is_usual && even >= 98;
        let score = (is_table, usual.min(3), even, first_is_usual, if delimiter == " " { 0 } else { usual });
        // Spaces separate fields only where nothing else does.
        let is_better = match &best {
            None => true,
            Some((other, _)) if delimiter == " " => other.1 < 2 && usual > 1,
            Some((other, _)) => score > *other,
        };
        if is_better {
            best = Some((score, fields));
        }
    }
    best.map_or_else(|| with_quotes(",".to_owned(), quote, sample), |(_, fields)| fields)
}

/// The most frequent of several counts, 0 if there is none.
pub(super) fn usual_count(counts: impl Iterator<Item = usize>) -> usize {
    let mut sorted: Vec<usize> = counts.collect();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).map_or(0, |run| run[0])
}

/// Number of rows before the header or the first event: comments, and lines with fewer fields than the others. At least
/// the first `known`.
fn preamble(rows: &[Vec<String>], known: usize) -> usize {
    let usual = usual_count(rows.iter().map(Vec::len));
    let is_before = |row: &Vec<String>| {
        row.first().is_some_and(|field| field.starts_with('#')) || (row.len() < usual && usual > 1)
    };
    let before = known + rows.iter().skip(known).take_while(|row| is_before(row)).count();
    // Rows that are all of one kind are no preamble, and neither are the first of rows of many lengths.
    let even = rows.iter().skip(before).filter(|row| row.len() >= usual).count();
    let is_preamble = before <= MAX_PREAMBLE && before < rows.len() && even * 10 >= (rows.len() - before) * 9;
    if is_preamble { before } else { known }
}

/// The names in a row before `rows` that has fewer fields than they have: rows may end in delimiters, or begin with their
/// own names, as R writes them. `None` if it is no header.
///
/// # Errors
/// [`Error::AmbiguousLog`] for a header whose names are of unknown columns.
fn short_header(
    path: &Path,
    options: &ReadOptions,
    row: &[String],
    rows: &[Vec<String>],
) -> Result<Option<Vec<String>>> {
    let usual = usual_count(rows.iter().map(Vec::len));
    let is_text = |field: &String| !field.trim().is_empty() && !is_value(field);
    let is_known = known_names(options, row) >= 2;
    if row.len() < 2
        || row.len() >= usual
        || !(is_known || (row.len() + 1 == usual && row.iter().all(is_text)))
    {
        return Ok(None);
    }
    let is_empty = |row: &Vec<String>| row.iter().skip(usual - 1).all(|field| field.trim().is_empty());
    if rows.iter().filter(|found| is_empty(found)).count() * 10 >= rows.len() * 9 {
        return Ok(Some(row.to_vec()));
    }
    let mut first: Vec<&str> = rows.iter().filter_map(|row| row.first().map(String::as_str)).collect();
    first.sort_unstable();
    first.dedup();
    if row.len() + 1 == usual && first.len() == rows.len() {
        return Ok(Some([&[String::new()], row].concat()));
    }
    if !is_known {
        return Ok(None);
    }
    let question = format!(
        "the header has {} fields and most rows have {usual}: is the delimiter also within fields that are not quoted? `delimiter` names another",
        row.len()
    );
    Err(Error::AmbiguousLog { path: path.to_owned(), question })
}

/// Whether the last line of the preamble is a header behind a `#`, and that header.
fn header_in_comment(rows: &[Vec<String>], preamble: usize) -> (bool, Vec<String>) {
    let Some(last) = preamble.checked_sub(1).and_then(|last| rows.get(last)) else {
        return (false, Vec::new());
    };
    let mut names = last.clone();
    let usual = usual_count(rows.iter().map(Vec::len));
    if let Some(first) = names.first_mut() {
        *first = first.trim_start_matches('#').trim().to_owned();
    }
    let is_header = names.len() == usual && usual > 1 && known_names(&ReadOptions::default(), &names) >= 2;
    (is_header, names)
}

/// Number of roles for which a row has the name of a column.
fn known_names(options: &ReadOptions, row: &[String]) -> usize {
    let wanted = |role: Role| match role {
        Role::Session => options.session_column.first(),
        Role::User => options.user_column.as_ref(),
        Role::Item => options.item_column.as_ref(),
        Role::Time => options.time_column.as_ref(),
        Role::Order => options.order_column.as_ref(),
    };
    let roles = [Role::Session, Role::User, Role::Item, Role::Time, Role::Order];
    let is_named = |role: &Role| {
        // A position given by an option is a number, which may also be a value in the first row.
        let named =
            |wanted: &String| wanted.parse::<usize>().is_err() && find_wanted(wanted, Some(row), 0).is_some();
        wanted(*role).is_some_and(named) || row.iter().any(|name| role.fit(name).is_some())
    };
    roles.iter().filter(|role| is_named(role)).count()
}

/// Whether a text is a time in any unit.
fn reads_as_time(text: &str) -> bool {
    let units = [TimeUnit::Auto, TimeUnit::DayFirst, TimeUnit::MonthFirst, TimeUnit::Apache];
    units.iter().any(|unit| unit.parse(text.as_bytes()).is_some())
}

/// Whether the first row holds the names of the columns: two of them are known, or it has no number and no time, and later
/// rows have.
fn is_header(options: &ReadOptions, first: &[String], rows: &[Vec<String>]) -> bool {
    let has_values = |row: &[String]| row.iter().any(|field| is_value(field));
    let named = known_names(options, first);
    named >= 2
        || (!has_values(first)
            && (named == 1 || rows.iter().any(|row| has_values(row)) || differs(first, rows)))
}

/// Whether a field is a number or a time.
fn is_value(field: &str) -> bool {
    number(field.trim().as_bytes()).is_some() || reads_as_time(field)
}

/// Whether a row is of words without digits, and the rows below it have digits in one of its columns.
fn differs(first: &[String], rows: &[Vec<String>]) -> bool {
    let has_digit = |field: &String| field.bytes().any(|byte| byte.is_ascii_digit());
    let is_word = |field: &String| field.starts_with(|c: char| c.is_alphabetic()) && !has_digit(field);
    let below = |at: usize| rows.iter().filter(|row| row.get(at).is_some_and(has_digit)).count();
    first.iter().all(is_word)
        && (0..first.len()).any(|at| below(at) * 10 >= rows.len() * 9 && !rows.is_empty())
}

#[cfg(test)]
mod tests;
