//! The invariants of `ARCHITECTURE.md`: its paths exist, imports run one way, the library never prints.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources below a folder, but for files of tests.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of the repository") {
        let path = entry.expect("an entry of a folder of the repository").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            found.push((path, text));
        }
    }
    found
}

/// The code of a file without its comments and without what follows its tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_path_in_the_documents_exists() {
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect("a document of the repository");
        if document == "ARCHITECTURE.md" {
            assert!(text.lines().count() < 250, "{document} is too long to be read");
        }
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let starts = ["crates/", "docs/", "experiments/", "fuzz/", "testdata/", ".ci/"];
        let quoted =
            text.split('`').skip(1).step_by(2).filter(|path| starts.iter().any(|s| path.starts_with(s)));
        for path in linked.chain(quoted).filter(|path| !path.starts_with("http")) {
            assert!(root().join(path).exists(), "{document} names {path}, which is not there");
        }
    }
}

#[test]
fn the_library_never_prints_and_the_kernels_know_no_items() {
    for (path, text) in sources(&root().join("crates/upnext/src")) {
        for word in ["println!", "eprintln!", "print!(", "dbg!("] {
            assert!(!code(&text).contains(word), "{} prints: {word}", path.display());
        }
    }
    for (path, text) in sources(&root().join("crates/upnext-kernels/src")) {
        for word in ["Session", "ItemIndex", "Vocabulary", "std::fs", "serde"] {
            assert!(!code(&text).contains(word), "{} knows {word}", path.display());
        }
    }
    for (path, text) in sources(&root().join("crates/upnext/src")) {
        assert!(!code(&text).contains("unsafe"), "{} is not safe", path.display());
    }
}

#[test]
fn imports_run_one_way() {
    // Where a module stands in the flow of the data; a module may use what stands before it.
    let order = [
        "error",
        "checksum",
        "memory",
        "arrays",
        "replace",
        "data",
        "batch",
        "recommender",
        "ranking",
        "baselines",
        "gru4rec",
        "evaluation",
        "experiment",
        "artifact",
        "model",
        "training",
        "tuning",
        "comparison",
    ];
    let place = |name: &str| order.iter().position(|&module| module == name);
    let source = root().join("crates/upnext/src");
    for (path, text) in sources(&source) {
        let relative = path.strip_prefix(&source).expect("a path below the folder");
        let module = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = module.trim_end_matches(".rs").to_owned();
        let Some(own) = place(&module) else { continue };
        if module == "error" || relative.ends_with("step_tests.rs") {
            // The error holds data of the modules that make it.
            continue;
        }
        for used in code(&text).split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(other) = place(&name) {
                assert!(other <= own, "{}: {module} uses {name}, which stands behind it", path.display());
            }
        }
    }
}
