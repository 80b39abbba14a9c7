//! Quotation marks that are opened and not closed: a field that swallows the rows after it.

use super::layout::{Fields, usual_count};
use super::options::Quote;
use csv::{ByteRecord, Position};

/// A row after the last one, which an open quotation mark would swallow.
pub(super) const LAST_ROW: &[u8] = b"\n\x02\n";

/// How the lines of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnds {
    LineFeed,
    /// A carriage return and a line feed.
    Both,
    CarriageReturn,
}

impl LineEnds {
    /// The ends of the lines of a file that begins with `sample`.
    pub(super) fn of(sample: &[u8]) -> Self {
        match sample.iter().position(|&byte| byte == b'\n') {
            Some(at) if at > 0 && sample[at - 1] == b'\r' => Self::Both,
            None if sample.contains(&b'\r') => Self::CarriageReturn,
            _ => Self::LineFeed,
        }
    }

    /// The line, from 1, on which a record begins that holds `within` line ends; `after` is the position of its reader. The
    /// reader counts line feeds, and ends a record at a carriage return already.
    #[inline]
    pub(super) fn line(self, record: &ByteRecord, after: &Position, within: u64) -> u64 {
        match self {
            Self::LineFeed => after.line().saturating_sub(1 + within),
            Self::Both => after.line().saturating_sub(within),
            Self::CarriageReturn => record.position().map_or(0, |position| position.record() + 1),
        }
    }

    /// The last byte of a line end.
    fn byte(self) -> u8 {
        if self == Self::CarriageReturn { b'\r' } else { b'\n' }
    }
}

/// A field that begins with a quotation mark that is not closed where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenQuote {
    /// The line on which the field begins.
    pub(super) line: u64,
    /// The line on which it ends; `None` for the end of the file.
    pub(super) until: Option<u64>,
}

/// Looks for open quotation marks in the rows of a file that ends with [`LAST_ROW`].
#[derive(Debug)]
pub(super) struct QuoteCheck {
    delimiter: u8,
    line_ends: LineEnds,
    /// The line on which the row begins that was checked last.
    pub(super) line: u64,
    /// Whether fields that look like rows are accepted.
    accepts: bool,
    /// Number of rows with a field that spans lines, and the line of the first.
    pub(super) spanning: u64,
    pub(super) first: Option<u64>,
}

/// Whether a row is [`LAST_ROW`].
#[inline]
pub(super) fn is_last(record: &ByteRecord) -> bool {
    record.len() == 1 && &record[0] == b"\x02"
}

/// The first open quotation mark at the beginning of a file, which may hide its columns.
pub(super) fn in_sample(sample: &[u8], fields: &Fields, quote: Quote) -> Option<OpenQuote> {
    if !fields.quoting {
        return None;
    }
    let replaced = fields.separated(sample);
    let sample = &replaced[..];
    let line_ends = LineEnds::of(sample);
    let lines = sample.split(|&byte| byte == line_ends.byte()).filter(|line| !line.is_empty());
    let width = usual_count(lines.map(|line| line.iter().filter(|&&byte| byte == fields.byte()).count() + 1));
    let bytes = [sample, LAST_ROW].concat();
    let mut reader = fields.reader().from_reader(&bytes[..]);
    let mut check = QuoteCheck::new(fields.byte(), quote, line_ends);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).ok()? {
        if let Some(open) = check.check(&record, reader.position(), width) {
            return Some(open);
        }
    }
    None
}

impl QuoteCheck {
    pub(super) fn new(delimiter: u8, quote: Quote, line_ends: LineEnds) -> Self {
        Self { delimiter, line_ends, line: 0, accepts: quote == Quote::Double, spanning: 0, first: None }
    }

    /// Checks a row of a file whose rows have `width` fields; `after` is the position of its reader.
    #[inline]
    pub(super) fn check(&mut self, record: &ByteRecord, after: &Position, width: usize) -> Option<OpenQuote> {
        self.line = self.line_ends.line(record, after, 0);
        let text = record.as_slice();
        let spans = text.contains(&b'\n') || (self.line_ends.byte() == b'\r' && text.contains(&b'\r'));
        if spans { self.check_spanning(record, after, width) } else { None }
    }

    #[cold]
    fn check_spanning(&mut self, record: &ByteRecord, after: &Position, width: usize) -> Option<OpenQuote> {
        let end = self.line_ends.byte();
        let within = record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let mut line = self.line_ends.line(record, after, within as u64);
        // A record that is not closed ends with the file, not with a line.
        let is_open = record.iter().next_back().is_some_and(|field| field.ends_with(LAST_ROW));
        line += u64::from(is_open && self.line_ends == LineEnds::LineFeed);
        self.line = line;
        self.first.get_or_insert(line);
        self.spanning += 1;
        for (i, field) in record.iter().enumerate() {
            let lines = field.iter().filter(|&&byte| byte == end).count();
            if field.ends_with(&LAST_ROW[..LAST_ROW.len() - 1]) || field.ends_with(LAST_ROW) {
                return Some(OpenQuote { line, until: None });
            }
            // The first line of the field ends a row, and a later one has as many fields as a row; the last one goes on
            // after the field.
            let after = record.len() - i - 1;
            let fields = |text: &[u8]| text.iter().filter(|&&byte| byte == self.delimiter).count() + 1;
            let mut within = field.split(|&byte| byte == end);
            let looks_like_row = within.next().is_some_and(|first| i + fields(first) == width)
                && within
                    .enumerate()
                    .any(|(k, text)| fields(text) + if k + 1 == lines { after } else { 0 } == width);
            if width > 1 && looks_like_row && !self.accepts {
                return Some(OpenQuote { line, until: Some(line + lines as u64) });
            }
            line += lines as u64;
        }
        None
    }

    /// A warning about fields that span lines.
    pub(super) fn warning(&self) -> Option<String> {
        let line = self.first?;
        Some(format!(
            "{} rows have a quoted field that spans several lines, the first on line {line}: if a quotation mark is a character like any other there, set `quote` to none",
            self.spanning
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The open quotation mark of a text with four columns, or the number of rows with a field that spans lines.
    fn check(text: &str, quote: Quote) -> Result<u64, OpenQuote> {
        let bytes = [text.as_bytes(), LAST_ROW].concat();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&bytes[..]);
        let mut check = QuoteCheck::new(b',', quote, LineEnds::of(text.as_bytes()));
        let (mut record, mut ended) = (ByteRecord::new(), false);
        while reader.read_byte_record(&mut record).unwrap() {
            ended = is_last(&record);
            if let Some(open) = check.check(&record, reader.position(), 4) {
                return Err(open);
            }
        }
        assert!(ended, "{text:?}");
        Ok(check.spanning)
    }

    #[test]
    fn an_open_quotation_mark_is_found_wherever_it_is_closed() {
        let open = |line, until| Err(OpenQuote { line, until });
        for (text, expected) in [
            ("1,2,3,\"a\"\n1,2,3,b\n", Ok(0)),
            ("1,2,3,\"a\nb\"\n1,2,3,\"two\nlines, two\"\n", Ok(2)),
            ("\"a\nb\",2,3,4\n\"a\nb\",\"2\n2\",3,4\n", Ok(2)),
            ("1,2,3,\"a\n1,2,3,b\n1,2,3,c\n", open(1, None)),
            ("1,2,3,a\n1,2,3,\"b", open(2, None)),
            ("1,2,3,a\n1,2,\"3,b\n1,2,3,c\n1,2,3,\"d\"\n", open(2, Some(4))),
            ("1,2,3,\"a\n1,2,3,b\"\n", open(1, Some(2))),
            ("1,2,\"x\ny\",\"a\n1,2,3,b\"\n", open(2, Some(3))),
        ] {
            assert_eq!(check(text, Quote::Auto), expected, "{text:?}");
            assert_eq!(check(&text.replace('\n', "\r\n"), Quote::Auto), expected, "{text:?}");
            assert_eq!(check(&text.replace('\n', "\r"), Quote::Auto), expected, "{text:?}");
            let later = expected.map_err(|OpenQuote { line, until }| OpenQuote {
                line: line + 2,
                until: until.map(|until| until + 2),
            });
            assert_eq!(check(&format!("\n\n{text}"), Quote::Auto), later, "{text:?}");
        }
        assert_eq!(check("1,2,3,\"a\n1,2,3,b\"\n", Quote::Double), Ok(1));
        assert_eq!(check("1,2,3,\"a\n1,2,3,b\n", Quote::Double), open(1, None));
    }
}
