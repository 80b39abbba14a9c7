//! A headless browser for tests of pages.

#[cfg(unix)]
mod tab;

#[cfg(unix)]
pub(crate) use tab::Tab;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Arguments of every browser.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// The program of a headless browser, if one is installed.
pub(crate) fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|file| file.is_file())
}

/// The DOM or picture that the browser renders for a URL.
pub(crate) fn browse(browser: &Path, profile: &Path, more: &[&str], address: &str) -> Output {
    let mut command = Command::new(browser);
    command.args(FLAGS).args(["--virtual-time-budget=5000", "--enable-logging=stderr"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(more);
    let output = command.arg(address).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Width and height in the header of a PNG.
pub(crate) fn png_size(file: &Path) -> (u32, u32) {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(&bytes[1..4], b"PNG");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
