//! The server as its clients see it: over real connections, answered by a model whose answers are known beforehand.

mod compare;
mod items;
mod operation;
mod overload;
mod page;
mod recommend;
mod robust;
mod sessions;
mod shop;
mod store;
mod tls;
mod valkey;
