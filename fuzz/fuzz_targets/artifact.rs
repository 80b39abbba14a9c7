//! The artifact reader on arbitrary bytes; the tests run the same body on a few thousand damaged files.
//! The first byte chooses the file: 0 `manifest.json`, 1 `items.parquet`, 2 safetensors.

#![no_main]

libfuzzer_sys::fuzz_target!(
    // The fuzzer's hook ends the process at every panic, also at those of the Parquet decoder that the reader catches
    // and reports. Without it, a panic that leaves the body is still a finding.
    init: { _ = std::panic::take_hook(); },
    |bytes: &[u8]| upnext_core::artifact::fuzz::read_artifact(bytes)
);
