//! Tests of the HTTP interface over real connections, with models whose lists are known in advance.

mod compare;
mod events;
mod fairness;
mod gate;
mod items;
mod new_items;
mod operation;
mod otel;
mod overload;
mod page;
mod ports;
mod recommend;
mod robust;
mod sessions;
mod shop;
mod similar;
mod store;
mod strict;
mod tls;
mod valkey;
