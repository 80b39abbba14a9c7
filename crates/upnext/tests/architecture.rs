//! Tests of the invariants in `ARCHITECTURE.md` that neither the compiler nor clippy checks: its paths exist, and the
//! dependencies of crates and modules have one direction. `docs/formats.md` names the times that are read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The modules of `upnext-core` in the order of the data flow: a module may use those above it. Every module has a
/// line, and so has a part of a module that others need earlier, such as `gru4rec::config`.
const MODULES: &[&str] = &[
    "error",
    "documented",
    "memory",
    "checksum",
    "arrays",
    "replace",
    "parquet",
    "data",
    "content",
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
    "blend",
    "stages",
    "artifact",
    "model",
    "fit",
    "onnx",
    "training",
    "tuning",
    "comparison",
    "auto",
];

/// Exceptions from the order, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The library's error enum contains the problem of a log's row.
    ("error", "data"),
    // A blend is a model that is made of models of any kind.
    ("kinds", "blend"),
    ("experiment", "blend"),
    ("kind", "experiment"),
];

/// The crates, each with its allowed dependencies.
const CRATES: &[(&str, &[&str])] = &[
    ("upnext-kernels", &[]),
    ("upnext-reference", &["upnext-kernels"]),
    ("upnext-core", &["upnext-kernels"]),
    ("upnext-server", &["upnext-kernels", "upnext-core"]),
    ("upnext-cli", &["upnext-core", "upnext-server"]),
    ("upnext", &["upnext-core", "upnext-cli"]),
    ("upnext-python", &["upnext-core", "upnext-cli"]),
];

/// External dependencies that only one crate may have.
const OWNERS: &[(&str, &str)] = &[
    ("hyper", "upnext-server"),
    ("axum", "upnext-server"),
    ("tokio", "upnext-server"),
    ("tracing", "upnext-server"),
    ("clap", "upnext-cli"),
    ("clap_complete", "upnext-cli"),
    ("clap_mangen", "upnext-cli"),
    ("anstream", "upnext-cli"),
    ("anstyle", "upnext-cli"),
    ("indicatif", "upnext-cli"),
    ("anyhow", "upnext-cli"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_path_in_the_documents_exists() {
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "docs/release.md"] {
        let file = root().join(document);
        let text = fs::read_to_string(&file).expect("a document of the repository");
        if document == "ARCHITECTURE.md" {
            assert!(text.lines().count() < 250, "{document} is too long to be read");
        }
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for path in linked.filter(|path| !path.is_empty() && !path.starts_with("http")) {
            assert!(file.with_file_name(path).exists(), "{document} links to {path}, which is not there");
        }
        let starts = ["crates/", "docs/", "experiments/", "fuzz/", "scripts/", ".ci/"];
        let quoted = text.split('`').skip(1).step_by(2);
        for path in quoted.filter(|path| starts.iter().any(|start| path.starts_with(start))) {
            assert!(root().join(path).exists(), "{document} names {path}, which is not there");
        }
    }
}

/// Every format of times has a row in the documentation, with examples that it reads.
#[test]
fn documented_times_are_read() {
    use upnext::data::TimeUnit;
    let text = fs::read_to_string(root().join("docs/formats.md")).expect("a document of the repository");
    assert!(text.contains(TimeUnit::UNDERSTOOD), "the message about unreadable times is documented");
    let section = text.split("## Times").nth(1).and_then(|rest| rest.split("\n## ").next());
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut documented = BTreeSet::new();
    for row in section.expect("a section").lines().filter(|line| line.starts_with("| `")) {
        let [units, _, examples] = row.trim_matches('|').split('|').collect::<Vec<_>>()[..] else { continue };
        let units = quoted(units);
        for example in quoted(examples) {
            let reads = |unit: &TimeUnit| {
                let years = 788_918_400_000_000..4_102_444_800_000_000;
                units.iter().any(|name| name == unit.name())
                    && unit.parse(example.as_bytes()).is_some_and(|time| years.contains(&time))
            };
            assert!(TimeUnit::ALL.iter().any(reads), "{units:?}: {example}");
        }
        documented.extend(units);
    }
    let missing = |unit: &&TimeUnit| !documented.contains(unit.name());
    let missing: Vec<&TimeUnit> = TimeUnit::ALL.iter().filter(missing).collect();
    assert_eq!(missing, [&TimeUnit::Auto, &TimeUnit::Pattern]);
}

#[test]
fn crates_depend_one_way() {
    let folders = fs::read_dir(root().join("crates")).expect("the folder of crates");
    let folders: BTreeSet<String> = folders
        .map(|entry| entry.expect("a crate").file_name().into_string().expect("a plain name"))
        .collect();
    let listed: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, listed, "CRATES in {} lists the folders of crates/", file!());
    for (name, allowed) in CRATES {
        let text =
            fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        for dependency in dependencies.into_iter().flat_map(toml::Table::keys) {
            if listed.contains(dependency) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
            let owner = OWNERS.iter().find(|(owned, _)| owned == dependency);
            assert!(owner.is_none_or(|(_, owner)| owner == name), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn kernels_open_no_files_and_no_connections() {
    for (module, path) in paths_of("upnext-kernels") {
        let outside =
            path.starts_with(&["std".into(), "fs".into()]) || path.starts_with(&["std".into(), "net".into()]);
        assert!(!outside, "upnext-kernels: {} uses {}", module.join("::"), path.join("::"));
    }
}

#[test]
fn imports_run_one_way() {
    let mut violations = BTreeSet::new();
    for (module, path) in paths_of("upnext-core") {
        if module.is_empty() {
            continue;
        }
        let Some(own) = module_line(&module) else {
            violations.insert(format!("{} has no line in MODULES of {}", module[0], file!()));
            continue;
        };
        if path[0] != "crate" {
            continue;
        }
        let used = &path[1..];
        // `crate` alone is from a `pub(crate)` in the body of a macro.
        let Some(first) = used.first() else { continue };
        if first == "*" {
            violations.insert(format!("{} uses {}: name the module", module.join("::"), path.join("::")));
        } else if module_line(used).is_some_and(|other| other > own)
            && !EXCEPTIONS.contains(&(module[0].as_str(), used[0].as_str()))
        {
            violations.insert(format!(
                "{} uses {}, which comes later in MODULES",
                module.join("::"),
                path.join("::")
            ));
        }
    }
    assert!(violations.is_empty(), "{}", violations.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The line of `MODULES` for a path: that of its first two names, or else of its first.
fn module_line(path: &[String]) -> Option<usize> {
    let line = |length: usize| {
        let name = path.get(..length)?.join("::");
        MODULES.iter().position(|module| *module == name)
    };
    line(2).or_else(|| line(1))
}

/// All paths in the code of a crate outside its tests: the containing module and the segments. Paths that start with
/// `self` or `super` are resolved to `crate`, and grouped imports are split into paths.
fn paths_of(name: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let source = root().join("crates").join(name).join("src");
    let mut paths = Paths { folder: source.clone(), module: Vec::new(), found: Vec::new() };
    paths.read(&source.join("lib.rs"));
    assert!(paths.found.len() > 100, "{name} has more paths than these: {:?}", paths.found);
    paths.found
}

struct Paths {
    /// The folder with the files of the current module's child modules.
    folder: PathBuf,
    module: Vec<String>,
    found: Vec<(Vec<String>, Vec<String>)>,
}

impl Paths {
    fn read(&mut self, path: &Path) {
        let text = fs::read_to_string(path).expect("the file of a module");
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.visit_file(&file);
    }

    fn add(&mut self, segments: Vec<String>) {
        let relative = segments.iter().take_while(|name| *name == "super").count();
        let own = segments.first().is_some_and(|name| name == "self");
        let segments = if relative > 0 || own {
            let kept = self.module.len().saturating_sub(relative);
            let outer = std::iter::once("crate".to_owned()).chain(self.module[..kept].iter().cloned());
            outer.chain(segments.into_iter().skip(relative.max(usize::from(own)))).collect()
        } else {
            segments
        };
        self.found.push((self.module.clone(), segments));
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add([before, &["*".to_owned()]].concat()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }

    /// The paths in the arguments of a macro, which are unparsed tokens.
    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.add(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    if !path.is_empty() {
                        self.add(std::mem::take(&mut path));
                    }
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        if !path.is_empty() {
            self.add(path);
        }
    }
}

/// Whether an item is compiled for tests only.
fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = module.ident.to_string();
        let outer = self.folder.clone();
        self.folder.push(&name);
        self.module.push(name);
        if module.content.is_some() {
            visit::visit_item_mod(self, module);
        } else {
            let file = self.folder.with_extension("rs");
            let file = if file.exists() { file } else { self.folder.join("mod.rs") };
            self.read(&file);
        }
        self.module.pop();
        self.folder = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // The paths in `pub(crate)` and `pub(super)` are not uses.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.add_tokens(call.tokens.clone());
    }
}
