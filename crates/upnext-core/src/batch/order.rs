//! Sessions in memory, in the order in which they are dealt out.

use crate::Result;
use crate::data::{ItemIndex, SessionCounts, SessionSource, SessionStream, Sessions, TimeMicros};

/// The order in which sessions are dealt out to rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of this number of sessions, as they are stored.
    AsStored(usize),
    /// These sessions, by their indices.
    Listed(Vec<u32>),
}

impl Order {
    /// The index of the `place`-th session; `None` after the last.
    pub(super) fn get(&self, place: usize) -> Option<usize> {
        match self {
            Self::AsStored(len) => (place < *len).then_some(place),
            Self::Listed(order) => order.get(place).map(|&session| session as usize),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::AsStored(len) => *len,
            Self::Listed(order) => order.len(),
        }
    }
}

impl From<Vec<u32>> for Order {
    fn from(order: Vec<u32>) -> Self {
        Self::Listed(order)
    }
}

/// Sessions by start time, oldest first. Sessions that start at the same time keep their order.
pub fn by_start_time(sessions: &Sessions) -> Order {
    if sessions.starts().is_sorted() {
        return Order::AsStored(sessions.len());
    }
    let starts: Vec<TimeMicros> = sessions.starts().collect();
    let mut order: Vec<u32> = (0..sessions.len() as u32).collect();
    order.sort_by_key(|&s| starts[s as usize]);
    Order::Listed(order)
}

/// Sessions in memory, in any order.
pub(super) struct InMemory<'s> {
    pub(super) sessions: &'s Sessions,
    pub(super) order: Order,
    /// The place in the order of the next session.
    pub(super) place: usize,
}

impl SessionStream for InMemory<'_> {
    fn next(&mut self, items: &mut Vec<ItemIndex>) -> Result<Option<u64>> {
        let session = self.order.get(self.place);
        Ok(session.map(|session| {
            self.place += 1;
            items.clear();
            items.extend_from_slice(self.sessions.session(session));
            session as u64
        }))
    }
}

/// Sessions in memory, as they are stored.
impl SessionSource for Sessions {
    fn counts(&self) -> SessionCounts {
        SessionCounts::of(self)
    }

    fn from(&self, first: u64) -> Result<Box<dyn SessionStream + '_>> {
        let place = usize::try_from(first).unwrap_or(usize::MAX);
        Ok(Box::new(InMemory { sessions: self, order: Order::AsStored(self.len()), place }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_session_comes_first_whatever_the_order_in_the_data() {
        let mut sessions = Sessions::new();
        for (item, start) in [(0, 30), (1, -5), (2, 30), (3, 7)] {
            sessions.push(&[item, item], start);
        }
        assert_eq!(by_start_time(&sessions), Order::Listed(vec![1, 3, 0, 2]));
        let mut sorted = Sessions::new();
        [-5, 7, 7].iter().for_each(|&start| sorted.push(&[1, 2], start));
        assert_eq!(by_start_time(&sorted), Order::AsStored(3));
    }
}
