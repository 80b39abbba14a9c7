//! The event reader on arbitrary bytes; the tests run the same body on a few thousand damaged logs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| upnext_core::data::fuzz::read_events(bytes));
