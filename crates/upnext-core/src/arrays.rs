//! Named arrays of floats and of whole numbers: the form in which a fitted model is saved and loaded.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// An array of floats with its shape, such as a parameter of a model (`docs/artifact.md`).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The size of each dimension: `[rows, columns]` of a matrix, `[n]` of a vector such as a bias.
    pub shape: Vec<usize>,
    /// The values, row by row.
    pub values: Vec<f32>,
}

/// The arrays of a model by name. No name is in both maps.
///
/// A model that is made of others has theirs as members.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Arrays {
    /// Arrays of floats.
    pub tensors: BTreeMap<String, Tensor>,
    /// Arrays of whole numbers, such as counts and indices.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// The arrays of the models of which the model is made, in their order, each with the unique name of its model.
    pub members: Vec<(String, Arrays)>,
}

/// The state that a training needs besides the weights to continue with the same bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingState {
    /// Optimiser state and, within an epoch, the hidden states of the rows, by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// Counters by name, such as Adam's number of updates of each row. No name is in both maps.
    pub counts: BTreeMap<String, Vec<u64>>,
    /// How far training has come: `training_position` of the manifest. Its numbers are finite.
    pub position: serde_json::Value,
}

impl Arrays {
    /// Removes and returns an array of floats, which must have this shape.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing or has another shape.
    pub fn take_tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(Error::weights(name, "is missing"));
        };
        if tensor.shape != shape || tensor.values.len() != shape.iter().product::<usize>() {
            return Err(Error::weights(name, format!("has the shape {:?}, not {shape:?}", tensor.shape)));
        }
        Ok(tensor.values)
    }

    /// Removes and returns an array of whole numbers.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing.
    pub fn take_counts(&mut self, name: &str) -> Result<Vec<u64>> {
        self.counts.remove(name).ok_or_else(|| Error::weights(name, "is missing"))
    }

    /// Checks that no array is left.
    ///
    /// # Errors
    /// [`Error::Weights`] that names an array that is left.
    pub fn finish(self) -> Result<()> {
        if let Some(name) = self.tensors.into_keys().chain(self.counts.into_keys()).next() {
            return Err(Error::weights(name, "is no array of this model"));
        }
        match self.members.into_iter().next() {
            Some((name, _)) => Err(Error::weights(name, "is no member of this model")),
            None => Ok(()),
        }
    }
}

/// Whether this is a valid name for a member, and for the folder of its files.
pub(crate) fn is_member_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 100 && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_another_shape_and_arrays_left_over_are_refused() {
        let mut arrays = Arrays::default();
        let tensor = Tensor { shape: vec![2, 3], values: vec![0.5; 6] };
        arrays.tensors.insert("a".into(), tensor.clone());
        arrays.counts.insert("n".into(), vec![1, 2]);
        let mut other = arrays.clone();
        assert!(other.take_tensor("a", &[3, 2]).unwrap_err().to_string().contains("[2, 3], not [3, 2]"));
        assert!(arrays.clone().take_counts("m").is_err());
        assert_eq!(arrays.take_tensor("a", &[2, 3]).unwrap(), tensor.values);
        assert!(arrays.clone().finish().unwrap_err().to_string().contains("`n`"));
        assert_eq!(arrays.take_counts("n").unwrap(), [1, 2]);
        arrays.clone().finish().unwrap();
        arrays.members.push(("m".into(), Arrays::default()));
        assert!(arrays.finish().unwrap_err().to_string().contains("`m`"));
    }
}
