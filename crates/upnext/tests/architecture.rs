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
fn the_kernels_know_no_items_and_no_files() {
    for (path, text) in sources(&root().join("crates/upnext-kernels/src")) {
        let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in ["Session", "ItemIndex", "Vocabulary", "std::fs"] {
            assert!(!code.iter().any(|line| line.contains(word)), "{} knows {word}", path.display());
        }
    }
}

/// Where a module of the library stands in the flow of the data; a module may use those before it.
const ORDER: [&str; 23] = [
    "error",
    "memory",
    "arrays",
    "replace",
    "data",
    "simulate",
    "batch",
    "recommender",
    "ranking",
    "evaluation",
    "gru4rec::config",
    "gru4rec::validate",
    "history",
    "kind",
    "baselines",
    "gru4rec",
    "kinds",
    "experiment",
    "models",
    "artifact",
    "model",
    "fit",
    "training",
];

/// Where a path of segments behind `crate` leads to; `None` for what is no module of the list.
fn place(segments: &[String]) -> Option<usize> {
    let behind = ["tuning", "comparison"];
    let first = segments.first()?;
    if let Some(i) = behind.iter().position(|module| module == first) {
        return Some(ORDER.len() + i);
    }
    let both = segments.get(1).map(|second| format!("{first}::{second}"));
    let exact = both.and_then(|both| ORDER.iter().position(|module| **module == both));
    exact.or_else(|| ORDER.iter().position(|module| module == first))
}

/// Collects the paths of a file that begin with `crate`, without those in items for tests.
#[derive(Default)]
struct CratePaths(Vec<Vec<String>>);

impl CratePaths {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(name.ident.to_string())),
            syn::UseTree::Rename(name) => self.0.push(with(name.ident.to_string())),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let is_test = |list: &syn::MetaList| list.path.is_ident("cfg") && list.tokens.to_string() == "test";
    attributes.iter().any(|attribute| attribute.meta.require_list().is_ok_and(is_test))
}

impl<'ast> syn::visit::Visit<'ast> for CratePaths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

#[test]
fn imports_run_one_way() {
    let source = root().join("crates/upnext-core/src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in sources(&source) {
        let relative = path.strip_prefix(&source).expect("a path below the folder").with_extension("");
        let module: Vec<String> =
            relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        // The error holds data of the modules that make it; the reference is a development aid.
        let name = module.last().expect("a name");
        if name.ends_with("_tests")
            || name == "contract"
            || module[0] == "error"
            || module.contains(&"reference".into())
        {
            continue;
        }
        let Some(own) = place(&module) else { continue };
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut paths = CratePaths::default();
        syn::visit::Visit::visit_file(&mut paths, &file);
        for used in paths.0.iter().filter(|path| path.first().is_some_and(|first| first == "crate")) {
            seen += 1;
            if place(&used[1..]).is_some_and(|other| other > own) {
                wrong.push(format!("{} uses {}", path.display(), used.join("::")));
            }
        }
    }
    assert!(seen > 300, "only {seen} paths were seen");
    assert!(wrong.is_empty(), "these use what stands behind them:\n{}", wrong.join("\n"));
}
