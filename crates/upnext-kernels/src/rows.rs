//! Grouping of the uses of a table's rows in a step, in constant time per use.

/// The uses of a table's rows in one step, grouped by row.
///
/// A row that a step uses several times is updated once, by the sum of the gradients of its uses; a group lists the uses of
/// one row. Grouping `m` uses costs O(m), whatever the size of the table.
///
/// A table may be divided into parts for several threads: part `p` of `n` has the rows `p`, `p + n`, `p + 2n`, …
#[derive(Clone, Debug)]
pub struct RowGroups {
    part: usize,
    parts: usize,
    table_rows: usize,
    /// For each row of the part the last step that used it, and its group in that step.
    last_use: Vec<(u32, u32)>,
    step: u32,
    rows: Vec<u32>,
    /// `ends[g]` is where the uses of group `g` end in `uses`.
    ends: Vec<u32>,
    uses: Vec<u32>,
    /// The number and the group of each use, in the order of the call.
    came: Vec<(u32, u32)>,
}

impl RowGroups {
    /// Groups for a table with this number of rows.
    pub fn new(table_rows: usize) -> Self {
        Self::of_part(table_rows, 0, 1)
    }

    /// Groups for part `part` of `parts` of a table: the rows `r` with `r % parts == part`.
    ///
    /// # Panics
    /// If `part` is not below `parts`.
    pub fn of_part(table_rows: usize, part: usize, parts: usize) -> Self {
        assert!(part < parts, "part {part} of {parts}");
        let rows = table_rows.saturating_sub(part).div_ceil(parts);
        Self {
            part,
            parts,
            table_rows,
            last_use: crate::huge::filled(rows, (0, 0)),
            step: 0,
            rows: Vec::new(),
            ends: Vec::new(),
            uses: Vec::new(),
            came: Vec::new(),
        }
    }

    /// Groups the uses of a step, given as (number of the use, row), and forgets those of the step before.
    ///
    /// # Panics
    /// If a row is not in the table, or belongs to another part of it.
    pub fn group(&mut self, uses: impl Iterator<Item = (u32, u32)>) {
        self.step = self.step.wrapping_add(1);
        if self.step == 0 {
            self.last_use.fill((0, 0));
            self.step = 1;
        }
        self.rows.clear();
        self.ends.clear();
        self.came.clear();
        for (number, row) in uses {
            assert_eq!(row as usize % self.parts, self.part, "row {row} belongs to another part");
            let last = &mut self.last_use[row as usize / self.parts];
            if last.0 != self.step {
                *last = (self.step, self.rows.len() as u32);
                self.rows.push(row);
                self.ends.push(0);
            }
            self.ends[last.1 as usize] += 1;
            self.came.push((number, last.1));
        }
        // Counts become starts; writing the uses then moves each start to its end.
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        self.uses.resize(self.came.len(), 0);
        for &(number, group) in &self.came {
            let place = &mut self.ends[group as usize];
            self.uses[*place as usize] = number;
            *place += 1;
        }
    }

    /// The used rows, each once, in the order of their first use.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The numbers of the uses in group `g`, in the order of the call.
    #[inline]
    pub fn uses(&self, g: usize) -> &[u32] {
        let start = if g == 0 { 0 } else { self.ends[g - 1] };
        &self.uses[start as usize..self.ends[g] as usize]
    }

    /// The group of the `i`-th use of the call, counted from 0.
    pub fn group_of(&self, i: usize) -> usize {
        self.came[i].1 as usize
    }

    /// Number of rows of the whole table.
    pub fn table_rows(&self) -> usize {
        self.table_rows
    }

    /// The part of the table and the number of parts.
    pub fn part(&self) -> (usize, usize) {
        (self.part, self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(rows: impl IntoIterator<Item = u32>) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(rows)
    }

    #[test]
    fn uses_are_grouped_by_row_in_order() {
        let mut groups = RowGroups::new(10);
        for _ in 0..3 {
            groups.group(numbered([7, 3, 7, 7, 0, 3]));
            assert_eq!(groups.rows(), [7, 3, 0]);
            assert_eq!(
                (groups.uses(0), groups.uses(1), groups.uses(2)),
                (&[0, 2, 3][..], &[1, 5][..], &[4][..])
            );
        }
        groups.group(std::iter::empty());
        assert!(groups.rows().is_empty());
        groups.step = u32::MAX;
        groups.group(numbered([3, 3]));
        assert_eq!((groups.rows(), groups.uses(0)), (&[3][..], &[0, 1][..]));
    }

    #[test]
    fn grouping_writes_the_marks_of_the_rows_in_use_alone() {
        let mut groups = RowGroups::new(1_000);
        groups.group(numbered(0..1_000));
        let before = groups.last_use.clone();
        groups.group(numbered([7, 3, 7]));
        let written: Vec<_> = (0..1_000).filter(|&row| groups.last_use[row] != before[row]).collect();
        assert_eq!(written, [3, 7]);
    }

    #[test]
    fn parts_divide_the_rows_of_a_table() {
        let rows = [7, 3, 7, 9, 0, 3, 4];
        let mut seen = Vec::new();
        for part in 0..4 {
            let mut groups = RowGroups::of_part(10, part, 4);
            groups.group(numbered(rows).filter(|&(_, row)| row as usize % 4 == part));
            for g in 0..groups.rows().len() {
                seen.extend(groups.uses(g).iter().map(|&u| (u, groups.rows()[g])));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, numbered(rows).collect::<Vec<_>>());
        let of_another = || RowGroups::of_part(10, 1, 4).group([(0, 2)].into_iter());
        assert!(std::panic::catch_unwind(of_another).is_err());
    }
}
