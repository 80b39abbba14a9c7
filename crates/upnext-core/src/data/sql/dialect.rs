//! What engines write differently.

use serde::{Deserialize, Serialize};

/// The SQL of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dialect {
    /// DuckDB from 1.0.
    DuckDb,
    /// Spark from 3.4, and engines that speak its SQL, such as Sail.
    Spark,
    /// DataFusion.
    DataFusion,
}

/// How the ids of a column are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum IdForm {
    /// As text, or as anything that the engine turns into text: white space around it is removed, `39.0` is `39`, and markers of
    /// missing values are none, as when a file is read.
    #[default]
    Text,
    /// As integers.
    Integer,
    /// As floating-point numbers, whole ones of which are integers.
    Float,
}

/// How times are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeForm {
    /// As timestamps, with or without a time zone; those without are UTC.
    #[default]
    Timestamp,
    /// As dates.
    Date,
    /// As text that the engine casts to a timestamp.
    Text,
    /// As seconds since 1970, whole numbers.
    S,
    /// As milliseconds since 1970.
    Ms,
    /// As microseconds since 1970.
    Us,
    /// As nanoseconds since 1970.
    Ns,
    /// As seconds since 1970 in floating point.
    FloatS,
    /// As milliseconds since 1970 in floating point.
    FloatMs,
}

/// The white space that is removed around ids, as when a file is read.
fn spaces() -> String {
    let of_others = ('\u{80}'..=char::MAX).filter(|&c| crate::data::id_text::is_space(c));
    " \t\n\u{c}\r".chars().chain(of_others).collect()
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 3] = [Self::DuckDb, Self::Spark, Self::DataFusion];

    /// The dialect's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Spark => "spark",
            Self::DataFusion => "datafusion",
        }
    }

    /// A name of a column, which may be any text.
    pub(super) fn name(self, name: &str) -> String {
        match self {
            Self::Spark => format!("`{}`", name.replace('`', "``")),
            Self::DuckDb | Self::DataFusion => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// A text as a literal.
    pub(super) fn literal(self, text: &str) -> String {
        match self {
            // Spark reads backslashes as escapes.
            Self::Spark => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::DuckDb | Self::DataFusion => format!("'{}'", text.replace('\'', "''")),
        }
    }

    /// An expression as text.
    pub(super) fn text(self, expression: &str) -> String {
        match self {
            Self::Spark => format!("CAST({expression} AS STRING)"),
            Self::DuckDb | Self::DataFusion => format!("CAST({expression} AS VARCHAR)"),
        }
    }

    /// The quotient of two integers, without its fraction.
    pub(super) fn quotient(self, dividend: &str, divisor: impl std::fmt::Display) -> String {
        match self {
            Self::DuckDb => format!("({dividend}) // {divisor}"),
            Self::Spark => format!("({dividend}) DIV {divisor}"),
            Self::DataFusion => format!("({dividend}) / {divisor}"),
        }
    }

    /// A text of which what matches a pattern is replaced everywhere; `group` is the number of the group to put there, if any.
    fn replaced(self, text: &str, pattern: &str, group: Option<u8>) -> String {
        let by = match (group, self) {
            (None, _) => String::new(),
            (Some(group), Self::Spark) => format!("${group}"),
            (Some(group), Self::DuckDb | Self::DataFusion) => format!("\\{group}"),
        };
        let (pattern, by) = (self.literal(pattern), self.literal(&by));
        match self {
            Self::Spark => format!("regexp_replace({text}, {pattern}, {by})"),
            Self::DuckDb | Self::DataFusion => format!("regexp_replace({text}, {pattern}, {by}, 'g')"),
        }
    }

    /// A column's ids as text; NULL for a missing one. With `keeps_markers`, only empty texts are missing.
    pub(super) fn id(self, column: &str, form: IdForm, keeps_markers: bool) -> String {
        let name = self.name(column);
        match form {
            IdForm::Integer => self.text(&name),
            IdForm::Float => {
                let whole = self.text(&format!("CAST({name} AS BIGINT)"));
                let other = self.text(&name);
                format!(
                    "CASE WHEN {name} = FLOOR({name}) AND ABS({name}) < 9e18 THEN {whole} ELSE {} END",
                    self.present(&other, keeps_markers)
                )
            }
            IdForm::Text => {
                let text = self.text(&name);
                let spaces = spaces();
                let trimmed = self.replaced(&text, &format!("^[{spaces}]+|[{spaces}]+$"), None);
                self.present(&self.replaced(&trimmed, "^(-?[0-9]+)[.]0+$", Some(1)), keeps_markers)
            }
        }
    }

    /// A text, or NULL if it stands for a missing value.
    fn present(self, text: &str, keeps_markers: bool) -> String {
        if keeps_markers {
            return format!("NULLIF({text}, '')");
        }
        let markers: Vec<String> = crate::data::NULL_MARKERS.iter().map(|text| self.literal(text)).collect();
        format!("CASE WHEN {text} IN ('', {}) THEN NULL ELSE {text} END", markers.join(", "))
    }

    /// Number of bytes of a text.
    pub(super) fn bytes(self, text: &str) -> String {
        match self {
            Self::DuckDb => format!("strlen({text})"),
            Self::Spark | Self::DataFusion => format!("octet_length({text})"),
        }
    }

    /// A column's times as microseconds since 1970.
    pub(super) fn micros(self, column: &str, form: TimeForm) -> String {
        let name = self.name(column);
        let instant = |of: String| match self {
            Self::DuckDb => format!("epoch_us({of})"),
            Self::Spark => format!("unix_micros(CAST({of} AS TIMESTAMP))"),
            Self::DataFusion => format!("CAST(arrow_cast({of}, 'Timestamp(Microsecond, None)') AS BIGINT)"),
        };
        let integer = || format!("CAST({name} AS BIGINT)");
        let rounded = |factor: &str| format!("CAST(ROUND(CAST({name} AS DOUBLE) * {factor}) AS BIGINT)");
        match form {
            TimeForm::Timestamp => instant(name),
            TimeForm::Date | TimeForm::Text => instant(format!("CAST({name} AS TIMESTAMP)")),
            TimeForm::S => format!("{} * 1000000", integer()),
            TimeForm::Ms => format!("{} * 1000", integer()),
            TimeForm::Us => integer(),
            TimeForm::Ns => self.quotient(&integer(), 1000),
            TimeForm::FloatS => rounded("1000000"),
            TimeForm::FloatMs => rounded("1000"),
        }
    }
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::ALL;
        all.into_iter().find(|dialect| dialect.as_str() == text).ok_or_else(|| {
            let names = all.map(Self::as_str).join(", ");
            format!("`{text}` is no dialect: use one of {names}; Sail speaks Spark's")
        })
    }
}
