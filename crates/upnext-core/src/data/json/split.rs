//! Splits a text into its top-level objects.

use super::MAX_OBJECT_BYTES;
use super::brackets::{Form, Scan, Scanned};
use std::io::{self, BufRead, BufReader, Read};

/// Number of bytes from which the form of a text is found.
const HEAD_BYTES: usize = 64 * 1024;

/// Why a text cannot be split further.
#[derive(Debug)]
pub(super) enum SplitError {
    Io(io::Error),
    /// It is cut off or damaged at a line.
    Text {
        line: u64,
        reason: String,
    },
}

/// The objects of a text. Memory is bounded by the longest object.
pub(super) struct Objects<R> {
    reader: BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>,
    pub(super) form: Form,
    /// The bytes of the object.
    object: Vec<u8>,
    /// The line of the next byte, from 1.
    line: u64,
    /// For an array: whether its bracket was read, whether an element was, and whether it is over.
    begun: bool,
    has_element: bool,
    over: bool,
    limit: usize,
}

impl<R: Read> Objects<R> {
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let mut head = Vec::new();
        (&mut reader).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let form = Form::of(&head);
        Ok(Self {
            reader: BufReader::with_capacity(256 * 1024, io::Cursor::new(head).chain(reader)),
            form,
            object: Vec::new(),
            line: 1,
            begun: false,
            has_element: false,
            over: false,
            limit: MAX_OBJECT_BYTES,
        })
    }

    /// The next object, and the line on which it begins; `None` at the end.
    ///
    /// In the form of lines, it is a line that need not be an object.
    ///
    /// # Errors
    /// For I/O errors; for a text that ends in an object, that has something else between two objects, or an object of
    /// more than [`MAX_OBJECT_BYTES`].
    pub(super) fn next(&mut self) -> Result<Option<(u64, &[u8])>, SplitError> {
        let found = match self.form {
            Form::Lines => self.next_line()?,
            Form::Objects => self.next_object()?,
            Form::Array => self.next_element()?,
        };
        Ok(found.map(|line| (line, self.object.trim_ascii())))
    }

    fn too_long(&self, line: u64) -> SplitError {
        let reason = format!(
            "the object that begins here is longer than {} MB: an object should be one event or one session",
            self.limit >> 20
        );
        SplitError::Text { line, reason }
    }

    fn next_line(&mut self) -> Result<Option<u64>, SplitError> {
        loop {
            self.object.clear();
            let line = self.line;
            let mut limited = (&mut self.reader).take(self.limit as u64 + 1);
            if limited.read_until(b'\n', &mut self.object).map_err(SplitError::Io)? == 0 {
                return Ok(None);
            }
            let ended = self.object.last() == Some(&b'\n');
            if self.object.len() > self.limit {
                return Err(self.too_long(line));
            }
            self.line += u64::from(ended);
            let text = self.object.trim_ascii();
            if text.is_empty() {
                continue;
            }
            // A last line that is no object at all is one more broken line.
            if !ended && text.first() == Some(&b'{') && Scan::of(text) == Scanned::Open {
                return Err(cut_off(line));
            }
            return Ok(Some(line));
        }
    }

    /// Skips white space and returns the next byte.
    fn peek(&mut self) -> Result<Option<u8>, SplitError> {
        loop {
            let buffer = self.reader.fill_buf().map_err(SplitError::Io)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blank = buffer.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(buffer.len());
            self.line += newlines(&buffer[..blank]);
            let next = buffer.get(blank).copied();
            self.reader.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn unexpected(&self, found: u8, wanted: &str) -> SplitError {
        let reason = format!("`{}` where {wanted} should be", found.escape_ascii());
        SplitError::Text { line: self.line, reason }
    }

    fn next_object(&mut self) -> Result<Option<u64>, SplitError> {
        match self.peek()? {
            None => Ok(None),
            Some(b'{') => self.scan().map(Some),
            Some(other) => Err(self.unexpected(other, "the next object")),
        }
    }

    fn next_element(&mut self) -> Result<Option<u64>, SplitError> {
        let open = || "the array is not closed: the file is cut off".to_owned();
        if !self.begun {
            self.peek()?;
            self.reader.consume(1);
            self.begun = true;
        }
        if self.over {
            return match self.peek()? {
                None => Ok(None),
                Some(other) => Err(self.unexpected(other, "the end of the text after the array")),
            };
        }
        let next = self.peek()?;
        let next = match (next, self.has_element) {
            (Some(b']'), _) => {
                self.reader.consume(1);
                self.over = true;
                return self.next_element();
            }
            (Some(b','), true) => {
                self.reader.consume(1);
                self.peek()?
            }
            (Some(other), true) => return Err(self.unexpected(other, "`,` or `]`")),
            (next, _) => next,
        };
        match next {
            None => Err(SplitError::Text { line: self.line, reason: open() }),
            Some(b'{') => {
                self.has_element = true;
                self.scan().map(Some)
            }
            Some(other) => Err(self.unexpected(other, "an object (the elements of the array are the rows)")),
        }
    }

    /// Reads the object whose bracket is next, and returns the line on which it begins.
    fn scan(&mut self) -> Result<u64, SplitError> {
        self.object.clear();
        let (begin, mut scan) = (self.line, Scan::default());
        loop {
            let buffer = self.reader.fill_buf().map_err(SplitError::Io)?;
            if buffer.is_empty() {
                return Err(cut_off(begin));
            }
            let (taken, scanned) = scan.feed(buffer);
            let before = newlines(&buffer[..taken]);
            self.object.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken);
            self.line += before;
            match scanned {
                _ if self.object.len() > self.limit => return Err(self.too_long(begin)),
                Scanned::Closed => return Ok(begin),
                Scanned::Open => {}
                Scanned::Mismatch(found) => {
                    let reason = format!(
                        "`{}` closes another kind of bracket, in the object that begins on line {begin}",
                        char::from(found)
                    );
                    return Err(SplitError::Text { line: self.line, reason });
                }
            }
        }
    }
}

fn cut_off(line: u64) -> SplitError {
    let reason = "the object that begins here does not end: the file is cut off, or a quotation mark or bracket is missing";
    SplitError::Text { line, reason: reason.to_owned() }
}

fn newlines(text: &[u8]) -> u64 {
    text.iter().filter(|&&b| b == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives a byte or two at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(2).min(self.0.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn split_with(text: &[u8], limit: usize) -> (Form, Vec<(u64, String)>, Option<String>) {
        let mut objects = Objects::new(Slow(text)).unwrap();
        objects.limit = limit;
        let (form, mut found) = (objects.form, Vec::new());
        loop {
            match objects.next() {
                Ok(Some((line, object))) => found.push((line, String::from_utf8_lossy(object).into_owned())),
                Ok(None) => return (form, found, None),
                Err(SplitError::Text { line, reason }) => {
                    return (form, found, Some(format!("line {line}: {reason}")));
                }
                Err(SplitError::Io(error)) => panic!("{error}"),
            }
        }
    }

    fn split(text: &str) -> (Form, Vec<(u64, String)>, Option<String>) {
        split_with(text.as_bytes(), MAX_OBJECT_BYTES)
    }

    fn lines(found: &[(u64, String)]) -> Vec<u64> {
        found.iter().map(|(line, _)| *line).collect()
    }

    #[test]
    fn lines_are_objects_with_their_numbers() {
        let (form, found, error) = split("\n{\"a\": 1}\r\n\n {\"a\": \"}\\\"{\"} \n{\"a\": 3}");
        assert_eq!((form, lines(&found), error), (Form::Lines, vec![2, 4, 5], None));
        assert_eq!(found[1].1, "{\"a\": \"}\\\"{\"}");
    }

    #[test]
    fn a_broken_line_is_one_line_and_the_others_are_found() {
        for (text, numbers) in [
            ("{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n", vec![1, 2, 3]),
            ("{\"a\": \"1}\n{\"a\": 2}\n{\"a\": 3}\n", vec![1, 2, 3]),
            ("{\"a\": 1]\n{\"a\": 2}\n", vec![1, 2]),
            ("{\"a\": 1}\nrubbish\n{\"a\": 3}\n", vec![1, 2, 3]),
            ("{\"a\": 1}\n{\"a\": 2}\nrubbish", vec![1, 2, 3]),
            ("{\"a\": 1}\n rubbish [{", vec![1, 2]),
        ] {
            let (form, found, error) = split(text);
            assert_eq!((form, lines(&found), error), (Form::Lines, numbers, None), "{text}");
        }
    }

    #[test]
    fn objects_over_several_lines_are_found() {
        let (form, found, error) =
            split("{\n  \"a\": [\n{\"b\": 1}\n]\n}\n{\"a\": 2} {\"a\": \"]\"}\n\n{\n}\n");
        assert_eq!((form, lines(&found), error), (Form::Objects, vec![1, 6, 6, 8], None));
        let (form, found, error) = split("{\"a\": 1}{\"a\": 2}");
        assert_eq!((form, lines(&found), error), (Form::Objects, vec![1, 1], None));
    }

    #[test]
    fn elements_of_an_array_are_found() {
        let (form, found, error) = split(" [{\"a\": 1},\n{\"a\":\n2} , {}]\n\n");
        assert_eq!((form, lines(&found), error), (Form::Array, vec![1, 2, 3], None));
        assert_eq!(split("[]").1, []);
    }

    #[test]
    fn what_is_cut_off_or_between_objects_is_an_error_with_its_line() {
        for (text, count, message) in [
            ("{\"a\": 1}\n{\"a\": 2", 1, "line 2: the object that begins here does not end"),
            ("{\"a\": 1}\n{\"a\": \"2", 1, "line 2: the object that begins here does not end"),
            ("{\"a\": 1", 0, "line 1: the object that begins here does not end"),
            ("{\n\"a\": 1\n}\n{\n\"a\": 2\n", 1, "line 4: the object that begins here does not end"),
            ("{\n\"a\": 1\n}\nx\n{}", 1, "line 4: `x` where the next object should be"),
            ("{\"a\": 1},\n{\"a\": 2},\n", 1, "line 1: `,` where the next object should be"),
            (
                "{\n\"a\": [1}\n}",
                0,
                "line 2: `}` closes another kind of bracket, in the object that begins on line 1",
            ),
            ("[{\"a\": 1},\n{\"a\": 2}", 2, "line 2: the array is not closed"),
            ("[{\"a\": 1},\n", 1, "line 2: the array is not closed"),
            ("[{\"a\": 1}\n{\"a\": 2}]", 1, "line 2: `{` where `,` or `]` should be"),
            ("[{\"a\": 1},\n{\"a\": 2", 1, "line 2: the object that begins here does not end"),
            ("[{\"a\": 1},\n7]", 1, "line 2: `7` where an object"),
            ("[{\"a\": 1}]\n\n[", 1, "line 3: `[` where the end of the text after the array should be"),
            ("[[1, 2]]", 0, "line 1: `[` where an object"),
        ] {
            let (_, found, error) = split(text);
            let error = error.unwrap_or_else(|| panic!("{text} is read"));
            assert!(error.starts_with(message), "{text}: {error}");
            assert_eq!(found.len(), count, "{text}");
        }
    }

    #[test]
    fn an_object_beyond_the_limit_is_refused() {
        for text in
            ["{\"a\": 1}\n{\"a\": \"long\"}\n", "[{\"a\": 1},\n{\"a\": \"long\"}]", "{\n}\n{\"a\": \"long\"}"]
        {
            let (_, found, error) = split_with(text.as_bytes(), 10);
            assert_eq!(found.len(), 1, "{text}");
            assert!(error.unwrap().contains("is longer than"), "{text}");
            assert_eq!(split_with(text.as_bytes(), 14).2, None, "{text}");
        }
    }
}
