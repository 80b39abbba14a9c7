//! Events that repeat another: a file given twice, an export joined twice.

use super::events::Event;

/// Which events of a grouped log repeat an earlier one with the same session, item, time and order. `orders` is empty if
/// nothing but the time orders events.
pub(super) fn copies(events: &[Event], orders: &[i64]) -> Vec<bool> {
    let mut is_copy = vec![false; events.len()];
    let mut start = 0;
    for run in events.chunk_by(|a, b| (a.session, a.time) == (b.session, b.time)) {
        if run.len() > 1 {
            let key = |at: usize| (events[at].item, orders.get(at).copied().unwrap_or(0));
            let mut places: Vec<usize> = (start..start + run.len()).collect();
            places.sort_by_key(|&at| key(at)); // stable: the first of equal ones stays first
            places.windows(2).for_each(|pair| is_copy[pair[1]] = key(pair[0]) == key(pair[1]));
        }
        start += run.len();
    }
    is_copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_events_is_no_copy() {
        let event = |session, item, time| Event { session, item, time };
        let events = [
            event(0, 5, 1),
            event(0, 6, 1),
            event(0, 5, 1),
            event(0, 5, 2),
            event(1, 5, 2),
            event(1, 5, 2),
            event(1, 5, 2),
        ];
        assert_eq!(copies(&events, &[]), [false, false, true, false, false, true, true]);
        let orders = [1, 2, 3, 4, 1, 1, 2];
        assert_eq!(copies(&events, &orders), [false, false, false, false, false, true, false]);
    }
}
