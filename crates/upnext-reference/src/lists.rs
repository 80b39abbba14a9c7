//! Metrics of top-k lists and of hits (`docs/evaluation.md`, "Metrics"), word by word from their definitions.
//!
//! Lists have the best items first and any length; a metric reads the first k. Items are numbers from 0.

/// Gini@k: the mean difference of the counts of two items, of all n² ordered pairs, divided by twice the mean count. Not a
/// number if all lists are empty.
pub fn gini(lists: &[Vec<u32>], items: usize, k: usize) -> f64 {
    let counts: Vec<f64> = (0..items as u32).map(|item| count(lists, item, k)).collect();
    let (n, total) = (items as f64, counts.iter().sum::<f64>());
    let difference: f64 = counts.iter().flat_map(|a| counts.iter().map(move |b| (a - b).abs())).sum();
    difference / (n * n) / (2.0 * total / n)
}

/// The number of lists that have an item among their first k.
fn count(lists: &[Vec<u32>], item: u32, k: usize) -> f64 {
    lists.iter().filter(|list| list.iter().take(k).any(|&other| other == item)).count() as f64
}

/// Novelty@k: the mean of −log2(support / Σ support) over all entries, where no support counts as 1.
pub fn novelty(lists: &[Vec<u32>], support: &[u64], k: usize) -> f64 {
    let all = support.iter().sum::<u64>() as f64;
    let entries = lists.iter().flat_map(|list| list.iter().take(k));
    mean(entries.map(|&item| -((support[item as usize].max(1) as f64) / all).log2()))
}

/// Diversity@k: the mean, over lists of two or more items, of the mean of 1 − cosine over all pairs of different places;
/// the cosine of a vector of zeros is 0. Not a number without such lists.
pub fn diversity(lists: &[Vec<u32>], vectors: &[Vec<f64>], k: usize) -> f64 {
    let of_list = |list: &[u32]| {
        let mut pairs = Vec::new();
        for (i, &a) in list.iter().enumerate() {
            for &b in &list[i + 1..] {
                pairs.push(1.0 - cosine(&vectors[a as usize], &vectors[b as usize]));
            }
        }
        mean(pairs.into_iter())
    };
    let heads = lists.iter().map(|list| &list[..list.len().min(k)]);
    mean(heads.filter(|list| list.len() > 1).map(of_list))
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// Serendipity@k: the share of lists that have their target, where `popular`, the list of POP, does not.
pub fn serendipity(lists: &[Vec<u32>], targets: &[u32], popular: &[u32], k: usize) -> f64 {
    let has = |list: &[u32], target: u32| list.iter().take(k).any(|&item| item == target);
    mean(lists.iter().zip(targets).map(
        |(list, &target)| {
            if has(list, target) && !has(popular, target) { 1.0 } else { 0.0 }
        },
    ))
}

/// Precision@k where the items of `rests` are relevant: the number of relevant items of a list, divided by k; its mean.
pub fn precision(lists: &[Vec<u32>], rests: &[&[u32]], k: usize) -> f64 {
    mean(lists.iter().zip(rests).map(|(list, rest)| relevant(list, rest, k) / k as f64))
}

/// MAP@k: the mean of Σ over the places i ≤ k with a relevant item of precision@i, divided by the smaller of k and the number
/// of different relevant items.
pub fn map(lists: &[Vec<u32>], rests: &[&[u32]], k: usize) -> f64 {
    mean(lists.iter().zip(rests).map(|(list, rest)| {
        let places = (1..=list.len().min(k)).filter(|&i| rest.contains(&list[i - 1]));
        let precisions: f64 = places.map(|i| relevant(list, rest, i) / i as f64).sum();
        let mut different = rest.to_vec();
        different.sort_unstable();
        different.dedup();
        precisions / different.len().min(k) as f64
    }))
}

fn relevant(list: &[u32], rest: &[u32], k: usize) -> f64 {
    list.iter().take(k).filter(|item| rest.contains(item)).count() as f64
}

/// Repeats@k: of the cases with a rank up to k, the share whose target is in the session before it. `ranks[s]` has the ranks
/// of all events of `sessions[s]` but the first. Not a number without such cases.
pub fn repeats(sessions: &[&[u32]], ranks: &[Vec<f64>], k: usize) -> f64 {
    let mut hits = Vec::new();
    for (session, ranks) in sessions.iter().zip(ranks) {
        for (i, _) in ranks.iter().enumerate().filter(|(_, rank)| **rank <= k as f64) {
            hits.push(if session[..=i].contains(&session[i + 1]) { 1.0 } else { 0.0 });
        }
    }
    mean(hits.into_iter())
}

/// LastHit@k: the share of sessions of two or more events whose last event has a rank up to k; `ranks` as in [`repeats`].
pub fn last_hit(ranks: &[Vec<f64>], k: usize) -> f64 {
    mean(ranks.iter().filter_map(|ranks| ranks.last()).map(|&rank| if rank <= k as f64 { 1.0 } else { 0.0 }))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    //! Metrics worked out by hand.

    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a}, not {b}");
    }

    #[test]
    fn lists_that_show_every_item_equally_have_no_inequality() {
        near(gini(&[vec![0, 1], vec![2, 3]], 4, 2), 0.0);
        // One of four items: (n − 1) / n.
        near(gini(&[vec![0, 1], vec![0, 3]], 4, 1), 0.75);
        // Counts 2, 1, 1, 0: differences 1, 1, 2, 0, 1, 1, twice, over 16 pairs, by twice the mean 1.
        near(gini(&[vec![0, 1], vec![0, 3]], 4, 2), 12.0 / 16.0 / 2.0);
    }

    #[test]
    fn an_item_of_half_the_events_has_one_bit_and_an_unseen_one_as_many_as_one_event() {
        near(novelty(&[vec![0], vec![1]], &[4, 2, 1, 0, 1], 1), f64::midpoint(1.0, 2.0));
        near(novelty(&[vec![3, 0]], &[4, 2, 1, 0, 1], 1), 3.0);
    }

    #[test]
    fn equal_vectors_are_not_diverse_and_opposite_ones_most() {
        let vectors = [vec![1.0, 0.0], vec![3.0, 0.0], vec![-1.0, 0.0], vec![0.0, 0.0]];
        near(diversity(&[vec![0, 1]], &vectors, 2), 0.0);
        near(diversity(&[vec![0, 1, 2]], &vectors, 3), (0.0 + 2.0 + 2.0) / 3.0);
        near(diversity(&[vec![0, 3], vec![0]], &vectors, 2), 1.0);
        assert!(diversity(&[vec![0, 1]], &vectors, 1).is_nan());
    }

    #[test]
    fn a_popular_target_is_no_surprise() {
        let lists = [vec![5, 0], vec![0, 5], vec![1, 2]];
        near(serendipity(&lists, &[5, 0, 9], &[0, 1, 5], 2), 1.0 / 3.0);
        near(serendipity(&lists, &[5, 0, 9], &[0, 1, 5], 3), 0.0);
    }

    #[test]
    fn all_items_of_the_rest_are_relevant_once() {
        let (lists, rests) = ([vec![3, 9, 4, 1]], [&[4, 3, 4, 7][..]]);
        near(precision(&lists, &rests, 4), 2.0 / 4.0);
        near(map(&lists, &rests, 4), (1.0 + 2.0 / 3.0) / 3.0);
        near(map(&lists, &rests, 2), 1.0 / 2.0);
        near(map(&lists, &rests, 1), 1.0);
    }

    #[test]
    fn hits_are_repeats_or_new_and_the_last_event_counts_alone() {
        let sessions: [&[u32]; 3] = [&[1, 2, 1, 3], &[5, 5], &[7]];
        let ranks = [vec![9.0, 1.0, 2.0], vec![3.0], vec![]];
        near(repeats(&sessions, &ranks, 2), 1.0 / 2.0);
        near(repeats(&sessions, &ranks, 3), 2.0 / 3.0);
        near(last_hit(&ranks, 2), 1.0 / 2.0);
    }
}
