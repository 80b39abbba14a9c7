//! The items that are most similar to one item, as the model sees it.

use super::nearest::{length, product};
use super::recommend::distinct;
use super::{BLOCK, Candidates, Entry, Filter, TopK};
use crate::data::ItemIndex;
use crate::recommender::{Recommender, Similarities, SimilarityMeasure};
use crate::{Error, Result};
use std::ops::{ControlFlow, RangeInclusive};

/// The lengths of a model's item vectors, computed once for many calls of [`similar`]: 8 bytes per item. Empty for a
/// model without vectors.
#[derive(Clone, Debug)]
pub struct VectorLengths {
    lengths: Vec<f64>,
    /// Number of vectors with an element that is not finite.
    not_finite: u64,
}

impl VectorLengths {
    /// Computes the lengths.
    pub fn new(model: &dyn Recommender) -> Self {
        let vectors = (0..model.num_items() as ItemIndex).map_while(|item| model.vector(item));
        let lengths: Vec<f64> = vectors.map(length).collect();
        // Squares of f32 do not overflow in f64.
        let not_finite = lengths.iter().filter(|length| !length.is_finite()).count() as u64;
        Self { lengths, not_finite }
    }

    /// The cosine of the angle between the vectors of two items; 0 if a vector is zero.
    fn cosine(&self, (a, x): (ItemIndex, &[f32]), (b, y): (ItemIndex, &[f32])) -> f32 {
        /// Lengths of which neither the product nor that of two elements leaves the range of f32.
        const USUAL: RangeInclusive<f64> = 1e-12..=1e12;
        let [p, q] = [a, b].map(|item| self.lengths[item as usize]);
        let lengths = p * q;
        if lengths == 0.0 {
            return 0.0;
        }
        let usual = USUAL.contains(&p) && USUAL.contains(&q);
        let product = if usual { f64::from(dot(x, y)) } else { product(x, y) };
        ((product / lengths) as f32).clamp(-1.0, 1.0)
    }
}

/// The dot product in f32, summed in the same order on every machine.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    // Sixteen independent sums: in a single one, each addition would wait for the one before.
    let mut sums = [0.0; 16];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<16>(), y.as_chunks::<16>());
    for (x, y) in x.iter().zip(y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum += x * y;
    }
    sums.iter().sum()
}

/// A request for the items that are similar to one item.
#[derive(Clone, Copy, Debug)]
pub struct SimilarQuery<'a> {
    /// The item.
    pub item: ItemIndex,
    /// Length of the list.
    pub k: usize,
    /// The filter. The item itself is always left out, and there is no session for `exclude_seen`.
    pub filter: &'a Filter,
}

/// An item that is similar to another one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimilarEntry {
    /// The item.
    pub item: ItemIndex,
    /// Its similarity by the measure of the list.
    pub similarity: f32,
}

/// The items that are similar to one item.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimilarList {
    /// What the similarities are.
    pub measure: SimilarityMeasure,
    /// The items, by falling similarity, then by ascending index.
    pub entries: Vec<SimilarEntry>,
}

/// The `k` candidates that are most similar to an item, without the item itself; `None` for a model that cannot tell.
///
/// The filter applies before the cut to `k`. By vectors, all items have a similarity; by sessions and weights, only items
/// that share a session, or have a weight, so that the list may be shorter than `k`. `lengths` must be those of the
/// model. `observe` is called for every 256 candidates and can stop the call.
///
/// # Errors
/// [`Error::NonFiniteScores`] if a vector has an element that is not finite; [`Error::Stopped`] if `observe` breaks.
///
/// # Panics
/// If the item, or a candidate, is not one of the model's items, or the lengths are those of a model of another size.
pub fn similar(
    model: &dyn Recommender,
    lengths: &VectorLengths,
    candidates: &Candidates,
    query: &SimilarQuery,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Option<SimilarList>> {
    let Some(similarities) = model.similarities(query.item) else { return Ok(None) };
    let narrowed = query.filter.only.as_deref().map(|only| candidates.narrowed(only));
    let candidates = narrowed.as_ref().unwrap_or(candidates).items();
    let hidden = distinct(&[&query.filter.exclude[..], &[query.item]].concat());
    let is_allowed = |item: ItemIndex| hidden.binary_search(&item).is_err();
    let mut check = || if observe().is_break() { Err(Error::Stopped) } else { Ok(()) };

    let mut best = TopK::new(query.k.min(candidates.len()));
    let mut add = |item, similarity| {
        if best.admits(similarity) && is_allowed(item) {
            // Equal supports: ties are in the order of the items.
            best.push(Entry { score: similarity, support: 0, item });
        }
    };
    match &similarities {
        Similarities::Vectors => {
            if lengths.not_finite > 0 {
                let (count, scores) = (lengths.not_finite, lengths.lengths.len() as u64);
                return Err(Error::NonFiniteScores { model: model.name().to_owned(), count, scores });
            }
            let own = model.vector(query.item).unwrap_or_default();
            for block in candidates.chunks(BLOCK) {
                check()?;
                for &item in block {
                    let vector = model.vector(item).unwrap_or_default();
                    add(item, lengths.cosine((query.item, own), (item, vector)));
                }
            }
        }
        Similarities::Listed(_, listed) => {
            for listed in listed.chunks(BLOCK) {
                check()?;
                for &(item, similarity) in listed {
                    if candidates.binary_search(&item).is_ok() {
                        add(item, similarity);
                    }
                }
            }
        }
    }
    let entry = |e: &Entry| SimilarEntry { item: e.item, similarity: e.score };
    let entries = best.sorted().iter().map(entry).collect();
    Ok(Some(SimilarList { measure: similarities.measure(), entries }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::vocabulary;
    use crate::recommender::SessionScorer;

    /// A model of vectors, or of listed similarities that are the same for every item.
    #[derive(Debug)]
    enum Known {
        Vectors(Vec<Vec<f32>>),
        Listed(Vec<(ItemIndex, f32)>),
    }

    impl Recommender for Known {
        fn num_items(&self) -> usize {
            match self {
                Self::Vectors(vectors) => vectors.len(),
                Self::Listed(_) => 10,
            }
        }

        fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
            match self {
                Self::Vectors(vectors) => Some(&vectors[item as usize]),
                Self::Listed(_) => None,
            }
        }

        fn similarities(&self, _item: ItemIndex) -> Option<Similarities> {
            Some(match self {
                Self::Vectors(_) => Similarities::Vectors,
                Self::Listed(listed) => Similarities::Listed(SimilarityMeasure::Weight, listed.clone()),
            })
        }

        fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
            unreachable!("similarities need no scores")
        }
    }

    /// The candidates of a model: all items without those of `exclude`.
    fn without(model: &Known, exclude: &[ItemIndex]) -> Candidates {
        Candidates::new(&vocabulary(&vec![1; model.num_items()]), exclude, None)
    }

    fn list(model: &Known, candidates: &Candidates, query: SimilarQuery) -> Vec<(ItemIndex, f32)> {
        let go_on = &mut || ControlFlow::Continue(());
        let list = similar(model, &VectorLengths::new(model), candidates, &query, go_on).unwrap().unwrap();
        list.entries.iter().map(|entry| (entry.item, entry.similarity)).collect()
    }

    #[test]
    fn the_angle_decides_whatever_the_lengths_and_a_vector_of_length_zero_is_like_nothing() {
        let vectors =
            [[3.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-2.0, 0.0], [3e30, 3e30], [2e-30, 0.0], [0.0, 5.0]];
        let model = Known::Vectors(vectors.map(Vec::from).into());
        let all = without(&model, &[]);
        let of = |item| list(&model, &all, SimilarQuery { item, k: 9, filter: &Filter::default() });
        let half = std::f32::consts::FRAC_1_SQRT_2;
        // Ties are in the order of the items.
        let expected = [(5, 1.0), (1, half), (4, half), (2, 0.0), (6, 0.0), (3, -1.0)];
        let found = of(0);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-6, "{found:?} {expected:?}");
        }
        assert_eq!(of(2), [0, 1, 3, 4, 5, 6].map(|item| (item, 0.0)));
    }

    #[test]
    fn filters_and_candidates_apply_before_the_cut_and_the_item_itself_is_never_listed() {
        let listed = vec![(7, 0.5), (1, 0.25), (2, 0.5), (3, 2.0), (9, 0.1), (0, 0.5)];
        let model = Known::Listed(listed);
        let items = |excluded: &[ItemIndex], k, filter: &Filter| -> Vec<ItemIndex> {
            let query = SimilarQuery { item: 3, k, filter };
            list(&model, &without(&model, excluded), query).into_iter().map(|(item, _)| item).collect()
        };
        let any = Filter::default();
        assert_eq!(items(&[], 20, &any), [0, 2, 7, 1, 9]);
        assert_eq!(items(&[], 2, &any), [0, 2]);
        assert!(items(&[], 0, &any).is_empty());
        assert_eq!(items(&[2, 0], 2, &any), [7, 1]);
        let exclude = Filter { exclude: vec![7, 7, 0], ..Filter::default() };
        assert_eq!(items(&[], 2, &exclude), [2, 1]);
        let only = Filter { only: Some(vec![9, 3, 7, 9, 5]), ..Filter::default() };
        assert_eq!(items(&[], 20, &only), [7, 9]);
        assert_eq!(items(&[7], 20, &only), [9]);
        assert_eq!(items(&[], 20, &Filter { exclude: vec![9], ..only }), [7]);
        assert!(items(&[], 20, &Filter { only: Some(Vec::new()), ..Filter::default() }).is_empty());
    }

    #[test]
    fn a_call_ends_where_its_observer_says() {
        let model = Known::Vectors(vec![vec![1.0]; 3 * BLOCK]);
        let (all, lengths) = (without(&model, &[]), VectorLengths::new(&model));
        let query = SimilarQuery { item: 0, k: 1, filter: &Filter::default() };
        for last in 1..=4 {
            let mut calls = 0;
            let mut observe = || {
                calls += 1;
                if calls == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let found = similar(&model, &lengths, &all, &query, &mut observe);
            assert_eq!(matches!(found, Err(Error::Stopped)), last <= 3, "{last}: {found:?}");
        }
    }

    #[test]
    fn vectors_that_are_no_numbers_are_an_error_and_not_a_list() {
        let model = Known::Vectors(vec![vec![1.0, 2.0], vec![f32::NAN, 0.0], vec![f32::INFINITY, 0.0]]);
        let query = SimilarQuery { item: 0, k: 1, filter: &Filter::default() };
        let (all, lengths) = (without(&model, &[]), VectorLengths::new(&model));
        let refused = similar(&model, &lengths, &all, &query, &mut || ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(refused, Error::NonFiniteScores { count: 2, scores: 3, .. }), "{refused}");
    }
}
