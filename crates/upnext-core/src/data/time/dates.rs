//! Dates of numbers with the year last, as in Europe (`20.03.2024`) and the United States (`3/20/2024`).

use super::scan::{Civil, Scan, days, full_year};

/// A date of three numbers, in whatever order, and the rest of its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    pub(super) numbers: [i64; 3],
    /// Whether the last number has two digits.
    short: bool,
    #[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "logs ask about it"))]
    pub(super) separator: u8,
    rest: Scan<'a>,
}

impl<'a> Numbers<'a> {
    /// Parses one or two digits, one or two digits, and four or two, with the same separator between them.
    pub(super) fn of(text: &'a [u8]) -> Option<Self> {
        let mut scan = Scan::new(text);
        let (first, _) = scan.digits(1, 2)?;
        let separator = scan.eat_any(b"./-")?;
        let (second, _) = scan.digits(1, 2)?;
        if !scan.eat(separator) {
            return None;
        }
        let (third, length) = scan.digits(2, 4)?;
        let known = matches!(length, 2 | 4) && !scan.is_at_digit();
        known.then_some(Self { numbers: [first, second, third], short: length == 2, separator, rest: scan })
    }

    fn year(&self) -> i64 {
        if self.short { full_year(self.numbers[2]) } else { self.numbers[2] }
    }

    /// The time if the day comes first.
    pub(super) fn day_first(&self) -> Option<Civil> {
        let [day, month, _] = self.numbers;
        self.rest.after_date(days(self.year(), month, day)?)
    }

    /// The time if the month comes first.
    pub(super) fn month_first(&self) -> Option<Civil> {
        let [month, day, _] = self.numbers;
        self.rest.after_date(days(self.year(), month, day)?)
    }

    /// The time if a year of two digits comes first.
    #[cfg(feature = "logs")]
    fn year_first(&self) -> Option<Civil> {
        let [year, month, day] = self.numbers;
        self.short.then_some(())?;
        self.rest.after_date(days(full_year(year), month, day)?)
    }

    /// Whether something follows the date.
    #[cfg(feature = "logs")]
    pub(super) fn has_time(&self) -> bool {
        !self.rest.is_at_end()
    }

    /// The times if the day, the month, or a year of two digits comes first.
    #[cfg(feature = "logs")]
    pub(super) fn readings(&self) -> [Option<Civil>; 3] {
        [self.day_first(), self.month_first(), self.year_first()]
    }
}
