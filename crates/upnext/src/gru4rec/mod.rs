//! GRU4Rec: the recurrent networks of Hidasi et al., ICLR 2016 (\[1\]) and CIKM 2018 (\[2\]).

pub mod config;
mod parameters;
#[doc(hidden)]
pub mod reference;
pub mod validate;
