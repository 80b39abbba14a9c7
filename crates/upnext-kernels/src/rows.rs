//! Which rows of a table a step uses, each once, in constant time per use.

/// The uses of a table's rows in one step, grouped by row.
///
/// A row that is used several times in a step has its gradients summed and is updated once; the groups say which
/// gradients those are. Grouping `m` uses costs O(m), whatever the size of the table.
#[derive(Clone, Debug)]
pub struct RowGroups {
    /// Per row of the table: the step that used it last, and its group then.
    last_use: Vec<(u32, u32)>,
    step: u32,
    rows: Vec<u32>,
    /// `ends[g]` is where the uses of group `g` end in `uses`.
    ends: Vec<u32>,
    uses: Vec<u32>,
    group_of_use: Vec<u32>,
}

impl RowGroups {
    /// Groups for a table of this many rows.
    pub fn new(table_rows: usize) -> Self {
        Self {
            last_use: vec![(0, 0); table_rows],
            step: 0,
            rows: Vec::new(),
            ends: Vec::new(),
            uses: Vec::new(),
            group_of_use: Vec::new(),
        }
    }

    /// Groups a step's uses: use `u` is of the `u`th row of the iterator.
    ///
    /// # Panics
    /// If a row is not in the table.
    pub fn group(&mut self, rows: impl Iterator<Item = u32>) {
        self.step = self.step.wrapping_add(1);
        if self.step == 0 {
            self.last_use.fill((0, 0));
            self.step = 1;
        }
        self.rows.clear();
        self.ends.clear();
        self.group_of_use.clear();
        for row in rows {
            let last = &mut self.last_use[row as usize];
            if last.0 != self.step {
                *last = (self.step, self.rows.len() as u32);
                self.rows.push(row);
                self.ends.push(0);
            }
            self.ends[last.1 as usize] += 1;
            self.group_of_use.push(last.1);
        }
        // Counts to starts; placing the uses moves each start to its end.
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        self.uses.resize(self.group_of_use.len(), 0);
        for (u, &group) in self.group_of_use.iter().enumerate() {
            let place = &mut self.ends[group as usize];
            self.uses[*place as usize] = u as u32;
            *place += 1;
        }
    }

    /// The rows used, each once, in the order of their first use.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The uses of group `g`'s row, in order.
    #[inline]
    pub fn uses(&self, g: usize) -> &[u32] {
        let start = if g == 0 { 0 } else { self.ends[g - 1] };
        &self.uses[start as usize..self.ends[g] as usize]
    }

    /// The group that use `u` belongs to.
    pub fn group_of(&self, u: usize) -> usize {
        self.group_of_use[u] as usize
    }

    /// Number of rows of the table.
    pub fn table_rows(&self) -> usize {
        self.last_use.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_grouped_by_row_in_order() {
        let mut groups = RowGroups::new(10);
        for _ in 0..3 {
            groups.group([7, 3, 7, 7, 0, 3].into_iter());
            assert_eq!(groups.rows(), [7, 3, 0]);
            assert_eq!(
                (groups.uses(0), groups.uses(1), groups.uses(2)),
                (&[0, 2, 3][..], &[1, 5][..], &[4][..])
            );
        }
        groups.group(std::iter::empty());
        assert!(groups.rows().is_empty());
        groups.step = u32::MAX;
        groups.group([3, 3].into_iter());
        assert_eq!((groups.rows(), groups.uses(0)), (&[3][..], &[0, 1][..]));
    }
}
