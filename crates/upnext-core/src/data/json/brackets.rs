//! Where an object ends by its brackets, and how the objects of a text follow each other.

use super::lexer;

/// How the objects of a text follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Each on a line of its own.
    Lines,
    /// One after the other.
    Objects,
    /// In one array.
    Array,
}

impl Form {
    /// The form of a text that begins with `head`.
    pub(super) fn of(head: &[u8]) -> Self {
        let head = head.trim_ascii_start();
        if head.first() == Some(&b'[') {
            return Self::Array;
        }
        let (taken, scanned) = Scan::default().feed(head);
        let Some(line_end) = head.iter().position(|&b| b == b'\n') else {
            // One long line: an object for which more must be read, or one and what follows it.
            let is_alone = scanned != Scanned::Closed || head[taken..].trim_ascii().is_empty();
            return if is_alone { Self::Lines } else { Self::Objects };
        };
        if scanned == Scanned::Closed && taken <= line_end && head[taken..line_end].trim_ascii().is_empty() {
            return Self::Lines;
        }
        // A first line that is broken: the next two lines are objects nevertheless.
        let following = head[line_end + 1..].split_inclusive(|&b| b == b'\n');
        let mut whole = following.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).take(2).peekable();
        let is_object = |line: &[u8]| line.first() == Some(&b'{') && lexer::is_value(line);
        let is_broken = scanned != Scanned::Closed || taken > line_end;
        if is_broken && whole.peek().is_some() && whole.all(is_object) { Self::Lines } else { Self::Objects }
    }
}

/// Finds the end of an object by its brackets, in pieces of text.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The brackets that are open.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The object does not end in this text.
    Open,
    Closed,
    /// This bracket closes another kind.
    Mismatch(u8),
}

impl Scan {
    /// Whether an object ends in this text.
    pub(super) fn of(text: &[u8]) -> Scanned {
        Self::default().feed(text).1
    }

    /// Reads the next piece of text: returns how much of it belongs to the object.
    pub(super) fn feed(&mut self, text: &[u8]) -> (usize, Scanned) {
        let mut at = 0;
        while at < text.len() {
            if std::mem::take(&mut self.escaped) {
                at += 1;
                continue;
            }
            let rest = &text[at..];
            let next = if self.in_string {
                rest.iter().position(|b| matches!(b, b'"' | b'\\'))
            } else {
                rest.iter().position(|b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']'))
            };
            let Some(skipped) = next else { break };
            let byte = rest[skipped];
            at += skipped + 1;
            match byte {
                b'"' => self.in_string = !self.in_string,
                b'\\' => self.escaped = true,
                b'{' | b'[' => self.open.push(byte),
                // The two brackets of a kind are two apart in ASCII.
                _ if self.open.pop() != Some(byte - 2) => return (at, Scanned::Mismatch(byte)),
                _ if self.open.is_empty() => return (at, Scanned::Closed),
                _ => {}
            }
        }
        (text.len(), Scanned::Open)
    }
}
