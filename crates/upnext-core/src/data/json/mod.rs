//! Reads JSON as rows: one object after the other, on lines of their own (JSON lines) or not, or one array of objects.
//!
//! [`Objects`] splits a text into top-level objects, [`Shape`] finds the columns of some of them, and a [`Picker`] makes
//! rows of the chosen columns. [`JsonFile`] does the three for a file.
//!
//! A column is a path: `a`, or `a.b` for the field `b` of an object `a`. The elements of an array of objects are rows
//! (`events.aid`), and so are the elements of an array of scalars (`items`); values outside the array are repeated in
//! every row. An array of `{"key": …, "value": …}` objects is one object with these keys (`event_params.page`).

mod brackets;
mod file;
mod lexer;
mod pick;
mod shape;
mod split;

pub(super) use file::JsonFile;

/// Most bytes of one top-level object.
const MAX_OBJECT_BYTES: usize = 256 << 20;

/// Most levels of objects and arrays inside each other.
const MAX_DEPTH: usize = 128;

/// Whether a text that begins with `head` is JSON: an object, or an array of objects or other values. `complete`:
/// `head` is the whole text.
///
/// A field of other text may begin with a bracket, too: `[SessionId],[ItemId]`, `{0f8fad5b-d9cb},7`.
pub(super) fn is_json(head: &[u8], complete: bool) -> bool {
    let head = head.trim_ascii_start();
    let Some((&first, rest)) = head.split_first() else { return false };
    let next = rest.trim_ascii_start().first();
    match (first, next) {
        (b'{', Some(b'"' | b'}')) | (b'[', Some(b'{')) => true,
        // An array of anything else is refused by the splitter, if the line is one.
        (b'[', Some(_)) => {
            let line_end = head.iter().position(|&b| b == b'\n');
            match line_end {
                None if !complete => lexer::begins_array(head),
                end => {
                    let line = head[..end.unwrap_or(head.len())].trim_ascii_end();
                    lexer::is_value(line) || (line == b"[" && lexer::begins_array(head))
                }
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
