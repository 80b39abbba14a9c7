//! The keys of experiments, as the structs define them, and suggestions for misspelt ones.

use super::{DataConfig, EvaluationConfig, Experiment, ModelKind, Published};
use crate::gru4rec::config::TrainingConfig;
use serde::de::value::Error as ProbeError;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use std::collections::BTreeSet;

/// All keys of experiments in dotted form, such as `training.learning_rate`.
pub fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    for &section in fields_of::<Experiment>() {
        let fields: Vec<&str> = match section {
            "data" => {
                fields_of::<DataConfig>().iter().copied().filter(|&field| field != "published").collect()
            }
            "model" => {
                let of_kinds = ModelKind::ALL.into_iter().flat_map(ModelKind::fields).copied();
                // Several kinds may have a field of the same name.
                let of_kinds: BTreeSet<&str> = of_kinds.collect();
                std::iter::once("kind").chain(of_kinds).collect()
            }
            "training" => fields_of::<TrainingConfig>().to_vec(),
            _ => fields_of::<EvaluationConfig>().to_vec(),
        };
        keys.extend(fields.iter().map(|field| format!("{section}.{field}")));
        if section == "data" {
            keys.extend(fields_of::<Published>().iter().map(|field| format!("data.published.{field}")));
        }
    }
    keys
}

impl ModelKind {
    /// Whether the `[model]` table of this kind has a field `field`.
    pub fn has_field(self, field: &str) -> bool {
        self.fields().contains(&field)
    }
}

/// The candidate nearest to `word`, for "did you mean" messages; `None` if none is near.
///
/// A key with the same field in another table is nearest; otherwise at most a third of the letters may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Hyphens, underscores and capitals do not count.
    let letters = |key: &str| key.replace(['-', '_'], "").to_lowercase();
    let last = |key: &str| letters(key.rsplit('.').next().unwrap_or_default());
    let (_, best) = candidates
        .into_iter()
        .map(|candidate| {
            let whole = strsim::damerau_levenshtein(&letters(word), &letters(candidate));
            // The right field in the wrong table is nearer than any misspelling.
            let field = strsim::damerau_levenshtein(&last(word), &last(candidate));
            (if field == 0 { 0 } else { whole.min(field + 1) }, candidate)
        })
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= 1.max(last(word).chars().count() / 3))?;
    Some(best)
}

/// The names of a struct's fields, as its `Deserialize` implementation lists them.
pub fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // The probe always returns an error; only the requested names matter.
    let _ = T::deserialize(FieldProbe(&mut fields));
    fields
}

/// A deserializer without a value, which records the names of the fields that a struct requests.
struct FieldProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldProbe<'_> {
    type Error = ProbeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ProbeError> {
        Err(ProbeError::custom("a probe has no value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_contributes_its_keys() {
        let keys = known_keys();
        for key in [
            "data.source",
            "data.published.mrr_at_20",
            "model.kind",
            "model.output_activation",
            "training.epsilon",
            "training.seed",
            "evaluation.candidates",
        ] {
            assert!(keys.iter().any(|known| known == key), "{key} is missing in {keys:?}");
        }
        assert!(!keys.iter().any(|key| key == "data.published"), "a table is no key");
    }

    #[test]
    fn a_misspelt_key_finds_its_nearest_and_nonsense_finds_none() {
        let keys = known_keys();
        let nearest = |word| nearest(word, keys.iter().map(String::as_str));
        assert_eq!(nearest("training.learning_rat"), Some("training.learning_rate"));
        assert_eq!(nearest("training.batchsize"), Some("training.batch_size"));
        assert_eq!(nearest("model.momentum"), Some("training.momentum"));
        assert_eq!(nearest("momentum"), Some("training.momentum"));
        assert_eq!(nearest("model.layer"), Some("model.layers"));
        assert_eq!(nearest("training.colour"), None);
    }
}
