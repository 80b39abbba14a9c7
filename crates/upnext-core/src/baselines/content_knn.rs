//! Content-KNN: items whose attributes are like those of the session's latest items.

use super::history_scorer::HistoryScorer;
use super::item_item::check_kept;
use super::sparse::{Popularity, SparseScores};
use crate::arrays::Arrays;
use crate::content::{Encoder, Factors, ItemFeatures};
use crate::data::{Dataset, ItemIndex, ItemTable, ItemVocabulary};
use crate::documented::documented;
use crate::gru4rec::config::TrainingConfig;
use crate::kind::{Fit, Kind};
use crate::recommender::{Recommender, SessionScorer, Similarities, SimilarityMeasure};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use upnext_kernels::{Isa, Matrix, add_scaled, dot};

documented! {
    /// The configuration of [`ContentKnn`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct ContentKnnConfig {
        /// Columns of the item table that are compared, all with the same weight; `*` stands for all. With one column of a category each,
        /// the model is POP of the category. The default is our choice.
        pub attributes: Vec<String>,
        /// Weight of an event relative to the next one of the session, 0 ≤ decay < 1; with 0 the last item decides alone. The default is
        /// our choice.
        pub decay: f32,
        /// Number of most similar items that get a score, 1 or more; all others follow by popularity. The default is our choice.
        pub neighbours: usize,
    }
}

impl Default for ContentKnnConfig {
    fn default() -> Self {
        Self { attributes: vec!["*".to_owned()], decay: 0.5, neighbours: 1000 }
    }
}

impl ContentKnnConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        if self.attributes.is_empty() {
            let reason = "is empty: name columns of the item table, or use [\"*\"] for all";
            return Err(Error::config("model.attributes", reason));
        }
        if !(0.0..1.0).contains(&self.decay) {
            let reason = format!("is {}: use 0 or more, and less than 1", self.decay);
            return Err(Error::config("model.decay", reason));
        }
        check_kept("model.neighbours", self.neighbours)
    }
}

/// Weight below which earlier events of a session do not count. (Our choice.)
const LEAST_WEIGHT: f32 = 0.01;

/// Content-KNN: items by the likeness of their attributes to those of the session's items, which needs no event on an item.
///
/// `score(j) = Σ_t decay^t · like(i_t, j)` with `i_t` the item `t` events before the last one, and `like` the mean over the columns of the
/// cosine of the two items' values: of categories and words, weighted by ln(N / n) if n of N items have them, of bins of numbers, and of
/// vectors less their mean. What is missing is like nothing. The last item itself is not scored. Equal scores, and items without one, are
/// ordered by popularity.
#[derive(Clone)]
pub struct ContentKnn {
    config: ContentKnnConfig,
    popularity: Popularity,
    encoder: Encoder,
    /// The items as vectors of which the products are likenesses.
    content: ItemFeatures,
    /// The items that have a feature, and its weights there.
    users: Users,
    /// n × d: the vectors of `content` once more, in whole cache lines.
    vectors: Matrix,
    isa: Isa,
}

impl std::fmt::Debug for ContentKnn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ContentKnn({} items, {:?})", self.popularity.num_items(), self.config)
    }
}

impl ContentKnn {
    /// Fits the model to the items of `data` and its item table.
    ///
    /// # Errors
    /// Those of [`ContentKnnConfig::validate`]; [`Error::Config`] if there is no item table, or it lacks a column or all items.
    pub fn fit(config: &ContentKnnConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let Some(table) = &data.item_table else {
            let reason = "the log has no item table, of which a content-knn model consists: give one (--item-table FILE)";
            return Err(Error::config("model.attributes", reason));
        };
        let (encoder, content) = Encoder::learn(table, &data.items, &config.attributes, Factors::Telling)?;
        let content = content.as_unit_vectors(&encoder.spans());
        Ok(Self::of(config.clone(), &data.items, encoder, content))
    }

    fn of(config: ContentKnnConfig, items: &ItemVocabulary, encoder: Encoder, content: ItemFeatures) -> Self {
        let mut vectors = Matrix::zeros(content.len(), content.width());
        for item in 0..content.len() {
            vectors.row_mut(item)[..content.width()].copy_from_slice(content.vector(item as ItemIndex));
        }
        let users = Users::new(encoder.shape().features, &content);
        Self {
            config,
            popularity: Popularity::new(items),
            encoder,
            content,
            users,
            vectors,
            isa: Isa::detect(),
        }
    }

    /// The scores of the `keep` most similar items after a session, in any order; its last item has none.
    fn neighbours<'b>(
        &self,
        session: &[ItemIndex],
        keep: usize,
        buffers: &'b mut Buffers,
    ) -> &'b [(ItemIndex, f32)] {
        let Buffers { profile, vector, sums, touched, scored } = buffers;
        profile.clear();
        vector.clear();
        let weights = std::iter::successors(Some(1.0_f32), |weight| Some(weight * self.config.decay));
        let isa = self.isa;
        for (&item, weight) in session.iter().rev().zip(weights).take_while(|(_, w)| *w >= LEAST_WEIGHT) {
            profile.extend(self.content.of(item).map(|(feature, of_item)| (feature, weight * of_item)));
            if self.content.width() > 0 {
                add_scaled(isa, weight, self.vectors.row(item as usize), vector.row_mut(0));
            }
        }
        // Stable: the weights of a feature are added in the order of the events.
        profile.sort_by_key(|&(feature, _)| feature);
        for uses in profile.chunk_by(|a, b| a.0 == b.0) {
            let weight: f32 = uses.iter().map(|&(_, weight)| weight).sum();
            for (item, of_item) in self.users.of(uses[0].0) {
                let sum = &mut sums[item as usize];
                if *sum == 0.0 {
                    touched.push(item);
                }
                *sum += weight * of_item;
            }
        }
        scored.clear();
        let last = session.last().copied();
        if self.content.width() > 0 {
            let of_vectors = (0..).zip(&mut *sums).map(|(item, sum)| {
                let like = dot(isa, vector.row(0), self.vectors.row(item as usize));
                (item, std::mem::take(sum) + like)
            });
            scored.extend(of_vectors.filter(|&(item, score)| score > 0.0 && Some(item) != last));
            touched.clear();
        } else {
            let of_features = touched.drain(..).map(|item| (item, std::mem::take(&mut sums[item as usize])));
            scored.extend(of_features.filter(|&(item, _)| Some(item) != last));
        }
        self.popularity.keep_best(keep, scored);
        scored
    }

    /// The model as arrays: `content.encoder` has the terms, and the others what each item has (`docs/artifact.md`).
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        self.encoder.add_to(&mut arrays);
        self.content.add_to(&mut arrays);
        arrays
    }

    /// Creates the model from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; [`Error::Weights`] if the arrays are not those of a model over `items`.
    pub fn from_arrays(
        config: &ContentKnnConfig,
        items: &ItemVocabulary,
        mut arrays: Arrays,
    ) -> Result<Self> {
        config.validate()?;
        let encoder = Encoder::take(&mut arrays)?;
        let content = ItemFeatures::take(&mut arrays, items.len(), encoder.shape())?;
        arrays.finish()?;
        Ok(Self::of(config.clone(), items, encoder, content))
    }
}

impl Kind for ContentKnn {
    type Config = ContentKnnConfig;
    const SPACE: Option<&'static str> = Some(include_str!("../../experiments/spaces/content-knn.toml"));
    const SIMILARITY: Option<SimilarityMeasure> = Some(SimilarityMeasure::ContentCosine);
    const NEEDS_ITEM_TABLE: bool = true;

    fn validate(config: &ContentKnnConfig, _: &TrainingConfig) -> Result<()> {
        config.validate()
    }

    fn fit(config: &ContentKnnConfig, fit: &mut Fit<'_>) -> Result<Self> {
        Self::fit(config, &fit.data)
    }

    fn encoder(&self) -> Option<&Encoder> {
        Some(&self.encoder)
    }

    fn with_items(&self, items: &ItemVocabulary, table: &ItemTable) -> Result<Self> {
        let new = self.encoder.encode(table, items.ids().skip(self.num_items()))?;
        let mut content = self.content.clone();
        content.extend(&new.as_unit_vectors(&self.encoder.spans()));
        Ok(Self::of(self.config.clone(), items, self.encoder.clone(), content))
    }

    fn to_arrays(&self) -> Arrays {
        self.arrays()
    }

    fn from_arrays(
        config: &ContentKnnConfig,
        _: &TrainingConfig,
        items: &ItemVocabulary,
        arrays: Arrays,
    ) -> Result<Self> {
        Self::from_arrays(config, items, arrays)
    }
}

impl Recommender for ContentKnn {
    fn name(&self) -> &str {
        "content-knn"
    }

    fn num_items(&self) -> usize {
        self.popularity.num_items()
    }

    fn similarities(&self, item: ItemIndex) -> Option<Similarities> {
        let list = self.neighbours(&[item], usize::MAX, &mut Buffers::new(self)).to_vec();
        Some(Similarities::Listed(SimilarityMeasure::ContentCosine, list))
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let mut buffers = Buffers::new(self);
        let search = move |row: usize, history: &[ItemIndex], scores: &mut SparseScores| {
            let neighbours = self.neighbours(history, self.config.neighbours, &mut buffers);
            scores.set(row, &self.popularity, neighbours.iter().copied());
        };
        Box::new(HistoryScorer::new(&self.popularity, rows, search))
    }
}

/// For each feature, the items that have it, ascending, with their weights: the transpose of [`ItemFeatures`].
#[derive(Clone)]
struct Users {
    /// The users of feature `f` are `items[ends[f - 1]..ends[f]]`.
    ends: Vec<usize>,
    items: Vec<ItemIndex>,
    weights: Vec<f32>,
}

impl Users {
    fn new(features: usize, content: &ItemFeatures) -> Self {
        let all =
            || (0..content.len() as ItemIndex).flat_map(|item| content.of(item).map(move |of| (item, of)));
        // A counting sort: `ends[f]` moves from the start of the users of f to their end.
        let mut ends = vec![0; features + 1];
        all().for_each(|(_, (feature, _))| ends[feature as usize + 1] += 1);
        (0..features).for_each(|f| ends[f + 1] += ends[f]);
        let count = ends[features];
        let (mut items, mut weights) = (vec![0; count], vec![0.0; count]);
        for (item, (feature, weight)) in all() {
            let end = &mut ends[feature as usize];
            (items[*end], weights[*end]) = (item, weight);
            *end += 1;
        }
        Self { ends, items, weights }
    }

    fn of(&self, feature: u32) -> impl Iterator<Item = (ItemIndex, f32)> {
        let f = feature as usize;
        let range = if f == 0 { 0 } else { self.ends[f - 1] }..self.ends[f];
        self.items[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }
}

/// What [`ContentKnn::neighbours`] reuses.
struct Buffers {
    /// The features of the session's items and their weights.
    profile: Vec<(u32, f32)>,
    /// 1 × d: the sum of the vectors of the session's items.
    vector: Matrix,
    /// The sum of each item, 0 between two calls.
    sums: Vec<f32>,
    touched: Vec<ItemIndex>,
    scored: Vec<(ItemIndex, f32)>,
}

impl Buffers {
    fn new(model: &ContentKnn) -> Self {
        Self {
            profile: Vec::new(),
            vector: Matrix::zeros(1, model.content.width()),
            sums: vec![0.0; model.content.len()],
            touched: Vec::new(),
            scored: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;
    use crate::data::items::{ColumnType, tests::read_file};

    const ITEMS: &str = "item,category,size,tags\n0,a,1,x|y\n1,a,1,x\n2,b,1,y\n3,b,,z\n4,,,\n5,a,1,x|y\n";

    fn table() -> ItemTable {
        read_file("items.csv", ITEMS, |options| {
            options.list_separator = Some('|');
            options.types = ["category", "tags"]
                .map(|name| (name.to_owned(), ColumnType::Categories))
                .into_iter()
                .collect();
        })
        .unwrap()
    }

    /// Items 0 to 4 of the table with supports 1, 2, 3, 2, 2; a sixth is not trained on.
    fn data() -> Dataset {
        dataset(5, &[&[0, 1, 2], &[1, 2, 3], &[4, 3], &[2, 4]]).with_item_table(table())
    }

    fn config(attributes: &[&str], decay: f32) -> ContentKnnConfig {
        let attributes = attributes.iter().map(|&name| name.to_owned()).collect();
        ContentKnnConfig { attributes, decay, ..Default::default() }
    }

    fn scores(model: &ContentKnn, session: &[ItemIndex]) -> Vec<(ItemIndex, f32)> {
        let mut list = model.neighbours(session, model.config.neighbours, &mut Buffers::new(model)).to_vec();
        list.sort_by_key(|&(item, _)| item);
        list
    }

    #[test]
    fn with_one_category_each_it_is_pop_of_the_category() {
        let model = ContentKnn::fit(&config(&["category"], 0.0), &data()).unwrap();
        let order = |session: &[ItemIndex]| -> Vec<ItemIndex> {
            let items = data().items;
            let lists =
                crate::ranking::recommend(&model, &items, &[session], 9, &Default::default()).unwrap();
            lists[0].entries.iter().map(|entry| entry.item).collect()
        };
        // Item 2 is the most popular one; 0 and 1 are of a, 2 and 3 of b, and 4 of none.
        assert_eq!(order(&[2, 0]), [1, 2, 3, 4, 0]);
        assert_eq!(order(&[3]), [2, 1, 3, 4, 0]);
        assert_eq!(order(&[4]), [2, 1, 3, 4, 0]);
    }

    #[test]
    fn scores_are_the_mean_cosines_of_columns_with_less_for_earlier_events() {
        let model = ContentKnn::fit(&config(&["category", "tags"], 0.5), &data()).unwrap();
        // Of five items, two have x and two y: each tells as much. No other item has z.
        let half = 0.5_f32.sqrt() / 2.0;
        let close = |found: &[(ItemIndex, f32)], wanted: &[(ItemIndex, f32)]| {
            let same =
                |(a, b): (&(ItemIndex, f32), &(ItemIndex, f32))| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6;
            assert!(
                found.len() == wanted.len() && found.iter().zip(wanted).all(same),
                "{found:?} {wanted:?}"
            );
        };
        close(&scores(&model, &[0]), &[(1, 0.5 + half), (2, half)]);
        close(&scores(&model, &[3]), &[(2, 0.5)]);
        close(&scores(&model, &[0, 3]), &[(0, 0.5), (1, 0.25 + half / 2.0), (2, 0.5 + half / 2.0)]);
        assert!(scores(&model, &[4]).is_empty());
        let Some(Similarities::Listed(SimilarityMeasure::ContentCosine, list)) = model.similarities(0) else {
            panic!()
        };
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn items_without_events_are_like_others_at_once_and_the_model_returns_from_its_arrays() {
        let data = data();
        let model = ContentKnn::fit(&config(&["*"], 0.5), &data).unwrap();
        let mut items = data.items.clone();
        items.add("5", 0);
        let all = model.with_items(&items, &table()).unwrap();
        assert_eq!(scores(&all, &[3, 4]), scores(&model, &[3, 4]), "known items are as they were");
        let of =
            |session: &[ItemIndex], item| scores(&all, session).into_iter().find(|s| s.0 == item).unwrap().1;
        assert!((of(&[0], 5) - 1.0).abs() < 1e-6 && of(&[5], 0) == of(&[0], 5));
        let again = ContentKnn::from_arrays(&all.config, &items, all.arrays()).unwrap();
        assert_eq!(scores(&again, &[5]), scores(&all, &[5]));
        assert!(ContentKnn::from_arrays(&all.config, &data.items, all.arrays()).is_err());
    }

    #[test]
    fn vectors_count_as_a_column_and_the_best_are_kept() {
        let text = "item,v\n0,\"[1, 0]\"\n1,\"[2, 0.1]\"\n2,\"[-1, 0]\"\n3,\"[0, 1]\"\n4,\"[1, 1]\"\n";
        let data = dataset(5, &[&[0, 1, 2], &[1, 2, 3], &[4, 3], &[2, 4]])
            .with_item_table(read_file("items.csv", text, |_| ()).unwrap());
        let model =
            ContentKnn::fit(&ContentKnnConfig { neighbours: 1, ..config(&["*"], 0.0) }, &data).unwrap();
        assert_eq!(scores(&model, &[0]).iter().map(|s| s.0).collect::<Vec<_>>(), [1]);
        // Less the mean of the five, (0.6, 0.42), item 2 is nearer to 3 than 4 is.
        assert_eq!(scores(&model, &[3]).iter().map(|s| s.0).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn settings_without_sense_and_logs_without_a_table_are_refused() {
        for (config, says) in [
            (config(&[], 0.5), "model.attributes: is empty"),
            (config(&["*"], 1.0), "model.decay: is 1"),
            (config(&["*"], f32::NAN), "model.decay: is NaN"),
            (ContentKnnConfig { neighbours: 0, ..Default::default() }, "model.neighbours: is 0"),
            (config(&["colour"], 0.5), "no column `colour`"),
        ] {
            let refused = ContentKnn::fit(&config, &data()).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let bare = dataset(2, &[&[0, 1]]);
        let refused = ContentKnn::fit(&ContentKnnConfig::default(), &bare).unwrap_err().to_string();
        assert!(refused.contains("--item-table"), "{refused}");
    }
}
