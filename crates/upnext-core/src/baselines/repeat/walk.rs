//! What the repeat model sees of a session: its items, each with how long ago and how often it was seen, and how the
//! visitor moves.

use crate::data::ItemIndex;

/// Number of distinct items of a session that are remembered, the latest ones.
pub(super) const WINDOW: usize = 128;

/// Number of classes of an item's age: 0 to 5 clicks each, then half octaves; the last one begins at 136 clicks.
pub(super) const AGES: usize = 16;
/// Number of classes of an item's count: 1, 2, 3, and 4 and more.
pub(super) const COUNTS: usize = 4;
/// Number of classes of the latest move, [`Move`].
pub(super) const MOVES: usize = 3;
/// Number of classes of the session's breadth: 1 to 7 distinct items, and 8 and more.
pub(super) const BREADTHS: usize = 8;

/// The sizes of the table of chances, from the coarsest feature to the finest.
pub(super) const SHAPE: [usize; 4] = [AGES, COUNTS, MOVES, BREADTHS];

/// The latest click of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Move {
    /// An item that is new to the session.
    #[default]
    Onward = 0,
    /// An item that was seen before the item before.
    Back = 1,
    /// The item of the click before.
    Again = 2,
}

/// An item of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    item: ItemIndex,
    /// The position of its latest click, from 0.
    last: u32,
    /// The number of its clicks.
    count: u32,
}

/// A session as far as it has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// The items, the latest click last; at most [`WINDOW`].
    seen: Vec<Seen>,
    /// Number of clicks read.
    clicks: u32,
    latest: Move,
}

impl Walk {
    /// Begins another session.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
        (self.clicks, self.latest) = (0, Move::Onward);
    }

    /// Reads the next click.
    pub(super) fn read(&mut self, item: ItemIndex) {
        let mut count = 0;
        self.latest = match self.seen.iter().rposition(|seen| seen.item == item) {
            Some(at) => {
                let before = self.seen.remove(at);
                count = before.count;
                if before.last + 1 == self.clicks { Move::Again } else { Move::Back }
            }
            None => Move::Onward,
        };
        if self.seen.len() == WINDOW {
            self.seen.remove(0);
        }
        self.seen.push(Seen { item, last: self.clicks, count: count + 1 });
        self.clicks += 1;
    }

    /// The session's items, each with its cell in a table of [`SHAPE`], the latest click last.
    pub(super) fn items(&self) -> impl Iterator<Item = (ItemIndex, usize)> + '_ {
        let breadth = self.seen.len().clamp(1, BREADTHS) - 1;
        let latest = self.latest as usize;
        self.seen.iter().map(move |seen| {
            let age = age_class(self.clicks - 1 - seen.last);
            let count = (seen.count as usize).clamp(1, COUNTS) - 1;
            (seen.item, ((age * COUNTS + count) * MOVES + latest) * BREADTHS + breadth)
        })
    }
}

/// The class of an item that was clicked `age` clicks ago, the latest click being 0 clicks ago.
fn age_class(age: u32) -> usize {
    /// The first age of every class behind 5 clicks: 6 · 2^(k / 2), rounded up.
    const FROM: [u32; AGES - 6] = [6, 9, 12, 17, 24, 34, 48, 68, 96, 136];
    if age < 6 { age as usize } else { 5 + FROM.iter().take_while(|&&from| from <= age).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The features of each item after a session.
    fn features(session: &[ItemIndex]) -> Vec<(ItemIndex, [usize; 4])> {
        let mut walk = Walk::default();
        session.iter().for_each(|&item| walk.read(item));
        let split = |cell: usize| {
            let (rest, breadth) = (cell / BREADTHS, cell % BREADTHS);
            let (rest, latest) = (rest / MOVES, rest % MOVES);
            [rest / COUNTS, rest % COUNTS, latest, breadth]
        };
        walk.items().map(|(item, cell)| (item, split(cell))).collect()
    }

    #[test]
    fn features_are_age_count_move_and_breadth() {
        assert_eq!(features(&[7]), [(7, [0, 0, 0, 0])]);
        assert_eq!(features(&[7, 7]), [(7, [0, 1, 2, 0])]);
        assert_eq!(features(&[7, 3]), [(7, [1, 0, 0, 1]), (3, [0, 0, 0, 1])]);
        assert_eq!(features(&[7, 3, 7]), [(3, [1, 0, 1, 1]), (7, [0, 1, 1, 1])]);
        assert_eq!(features(&[7, 7, 7, 7, 7, 3]), [(7, [1, 3, 0, 1]), (3, [0, 0, 0, 1])]);
        let long: Vec<ItemIndex> = (0..20).collect();
        let got = features(&long);
        assert_eq!((got.len(), got[0], got[19]), (20, (0, [9, 0, 0, 7]), (19, [0, 0, 0, 7])));
    }

    #[test]
    fn ages_are_exact_to_5_then_half_octaves() {
        for (age, class) in [
            (0, 0),
            (5, 5),
            (6, 6),
            (8, 6),
            (9, 7),
            (11, 7),
            (12, 8),
            (16, 8),
            (17, 9),
            (135, 14),
            (136, 15),
            (u32::MAX, 15),
        ] {
            assert_eq!(age_class(age), class, "{age}");
        }
    }

    #[test]
    fn only_the_latest_items_are_remembered() {
        let session: Vec<ItemIndex> = (0..WINDOW as ItemIndex + 2).chain([2, 0]).collect();
        let items: Vec<ItemIndex> = features(&session).iter().map(|seen| seen.0).collect();
        let expected: Vec<ItemIndex> = (4..WINDOW as ItemIndex + 2).chain([2, 0]).collect();
        assert_eq!(items, expected);
        // Item 0 was forgotten: it is new again.
        assert_eq!(features(&session).last().map(|seen| seen.1), Some([0, 0, 0, 7]));
    }
}
