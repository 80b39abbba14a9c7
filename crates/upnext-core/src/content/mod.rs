//! The content of items as the input of a network: from attributes of any type to numbers.
//!
//! An [`Encoder`] is learnt from the items of a training and saved with the model, so that items that come later are described in
//! the same terms. It turns a row of an item table into [`ItemFeatures`]: weighted features, which are rows of a table that is
//! trained, and a vector. `docs/items.md` has the rules.

mod encoder;
mod features;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use encoder::{Encoder, Factors};
pub(crate) use features::{ContentShape, ItemFeatures};
