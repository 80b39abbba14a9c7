//! The columns of logs and tables by their names, and names in error messages.

use super::options::ReadOptions;

/// The role of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Session,
    User,
    Item,
    Time,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Item => "item",
            Self::Time => "time",
        }
    }

    /// Names of such a column in known logs, [`normalized`]; the first that a log has is used.
    pub(super) fn known_names(self) -> &'static [&'static str] {
        match self {
            Self::Session => &[
                "sessionid",
                "session",
                "usersession",
                "sessionkey",
                "sid",
                "visitid",
                "visitorid",
                "visitor",
            ],
            Self::User => &["userid", "user", "visitorid", "visitor", "customerid", "clientid", "uid"],
            Self::Item => &[
                "itemid",
                "item",
                "productid",
                "product",
                "articleid",
                "clickarticleid",
                "newsid",
                "videoid",
                "contentid",
                "trackid",
                "movieid",
                "sku",
                "iid",
                "aid",
            ],
            Self::Time => &[
                "time",
                "timestamp",
                "ts",
                "eventtime",
                "eventtimestamp",
                "clicktimestamp",
                "datetime",
                "unixtime",
                "createdat",
                "eventdate",
                "date",
            ],
        }
    }

    pub(super) fn option(self, options: &ReadOptions) -> Option<&str> {
        match self {
            Self::Session => options.session_column.as_deref(),
            Self::User => options.user_column.as_deref(),
            Self::Item => options.item_column.as_deref(),
            Self::Time => options.time_column.as_deref(),
        }
    }
}

/// A name in lower case, without spaces and punctuation.
pub(super) fn normalized(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Finds the column with a known name of `role`.
pub(super) fn find_known(role: Role, names: &[String]) -> Option<usize> {
    let names: Vec<String> = names.iter().map(|n| normalized(n)).collect();
    role.known_names().iter().find_map(|known| names.iter().position(|n| n == known))
}

/// Finds the column that an option gives: by exact name, by name in any case, or by position from 1.
pub(super) fn find_wanted(wanted: &str, names: Option<&[String]>, count: usize) -> Option<usize> {
    let by_name = names.and_then(|names| {
        let any_case = |n: &String| n.trim().eq_ignore_ascii_case(wanted.trim());
        names.iter().position(|n| n == wanted).or_else(|| names.iter().position(any_case))
    });
    let by_position =
        || wanted.trim().parse::<usize>().ok().filter(|p| (1..=count).contains(p)).map(|p| p - 1);
    by_name.or_else(by_position)
}

/// Finds the column of item ids: the first of `wanted` that exists, by name or by position from 1; if `wanted` is
/// empty, the first with a known name of an item column, then `id`.
pub(crate) fn item_column(names: &[String], wanted: &[String]) -> Option<usize> {
    if wanted.is_empty() {
        let id = || names.iter().position(|name| normalized(name) == "id");
        return find_known(Role::Item, names).or_else(id);
    }
    wanted.iter().find_map(|wanted| column(names, wanted))
}

/// Finds the column that an option gives: by exact name, by name in any case, or by position from 1.
pub(crate) fn column(names: &[String], wanted: &str) -> Option<usize> {
    find_wanted(wanted, Some(names), names.len())
}

/// A text for a message: at most 40 characters, with control characters escaped.
pub(crate) fn shortened(text: &str) -> String {
    shortened_to(text, 40)
}

/// A text for a message, on one line: at most `max` characters, with control characters escaped.
pub(crate) fn shortened_to(text: &str, max: usize) -> String {
    let mut short = String::new();
    for c in text.chars().take(max) {
        if c.is_control() { short.extend(c.escape_debug()) } else { short.push(c) }
    }
    if text.chars().nth(max).is_some() {
        short.push('…');
    }
    short
}

/// The error of a damaged Parquet file. The decoder's message may quote names from the file and is shortened.
pub(crate) fn damaged_parquet(path: &std::path::Path, reason: &str) -> crate::Error {
    crate::Error::Damaged { path: path.to_owned(), format: "Parquet", reason: shortened_to(reason, 200) }
}
