//! The readers of times on arbitrary lines; the tests run the same body on thousands of damaged times.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| upnext_core::data::fuzz::read_times(bytes));
