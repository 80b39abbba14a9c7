//! The server as its clients see it: over real connections, answered by a model whose answers are known beforehand.

mod operation;
mod recommend;
mod robust;
mod sessions;
mod shop;
