//! The doc comments of configurations as data, so that `--show-config` and `docs/configuration.md` repeat nothing by
//! hand. For the crates of this workspace only.

use std::fmt::Write;

/// Number of characters after which a comment is wrapped.
pub const WIDTH: usize = 100;

/// A struct that is read from experiment files, with the doc comments of its fields.
pub trait Documented {
    /// The fields in their order.
    const FIELDS: &'static [FieldDoc];
}

/// A field of a configuration and its doc comment.
#[derive(Clone, Copy, Debug)]
pub struct FieldDoc {
    /// The name in files.
    pub name: &'static str,
    /// The type in Rust.
    pub of: &'static str,
    /// The lines of the doc comment.
    pub lines: &'static [&'static str],
}

impl FieldDoc {
    /// The doc comment as one paragraph, without the escapes of rustdoc.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.trim()).collect();
        lines.join(" ").replace("\\[", "[").replace("\\]", "]")
    }
}

/// Defines a struct as it is written, and implements [`Documented`] for it. A field has doc comments, then at most one
/// attribute of serde.
#[macro_export]
#[doc(hidden)]
macro_rules! documented {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[doc = $line:literal])+ $(#[serde($($serde:tt)*)])? pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[doc = $line])+ $(#[serde($($serde)*)])? pub $field: $type,)*
        }

        impl $crate::documented::Documented for $name {
            const FIELDS: &'static [$crate::documented::FieldDoc] = &[
                $($crate::documented::FieldDoc {
                    name: stringify!($field),
                    of: stringify!($type),
                    lines: &[$($line),+],
                },)*
            ];
        }
    };
}
pub use documented;

/// Adds a paragraph to a text as comment lines of at most [`WIDTH`] characters.
pub fn comment(out: &mut String, paragraph: &str) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            _ = writeln!(out, "{line}");
            "#".clone_into(&mut line);
        }
        _ = write!(line, " {word}");
    }
    _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    documented! {
        /// A struct.
        #[derive(Debug)]
        #[allow(dead_code, unreachable_pub)]
        pub struct Example {
            /// The first field \[1\],
            /// on two lines.
            pub first: usize,
            /// The second.
            pub second: Option<f32>,
        }
    }

    #[test]
    fn doc_comments_are_paragraphs() {
        let texts: Vec<_> = Example::FIELDS.iter().map(|field| (field.name, field.text())).collect();
        let expected = [("first", "The first field [1], on two lines."), ("second", "The second.")];
        assert_eq!(texts, expected.map(|(name, text)| (name, text.to_owned())));
    }
}
