//! Import cycles between the files of a crate. Two files that import each other cannot be read, tested or moved apart. An
//! edge is a `use` or a path to an item of another file of the crate, tests excluded; a path through a re-export leads to the
//! file that defines the item.
use crate::source::{Source, workspace};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, Path, UseTree, Visibility};

/// Crates by the folder of their sources.
const CRATES: [&str; 12] = [
    "protocol/src",
    "protocol/spec/src",
    "protocol/formats/src",
    "transport/src",
    "coordinator/store/src",
    "coordinator/src",
    "worker/storage/src",
    "worker/mhl/src",
    "worker/qc/src",
    "worker/src",
    "ops/src",
    "tests/src",
];

/// Cycles that are known, by one file of each. The list only becomes shorter.
const KNOWN: [&str; 0] = [];

/// A folder or file at the root of a crate, and what it may import of the others.
type Folder = (&'static str, &'static [&'static str]);

/// Directions between the folders of a crate, lowest first: a folder imports only folders above it in this list.
const DIRECTIONS: [(&str, &[Folder]); 1] = [(
    "coordinator/src",
    &[
        ("clock", &[]),
        ("error", &[]),
        ("paging", &["error"]),
        ("audit", &[]),
        ("refusal", &[]),
        ("field_change", &[]),
        ("rows", &["error"]),
        ("workflows", &[]),
        ("graph", &["rows"]),
        (
            "review",
            &[
                "audit",
                "error",
                "field_change",
                "graph",
                "paging",
                "rows",
                "workflows",
            ],
        ),
        ("reconcile", &["graph", "review", "rows", "workflows"]),
        ("dispatch", &["reconcile", "review", "rows", "workflows"]),
        (
            "query",
            &[
                "dispatch",
                "error",
                "field_change",
                "graph",
                "paging",
                "reconcile",
                "review",
                "rows",
                "workflows",
            ],
        ),
        (
            "command",
            &[
                "audit",
                "error",
                "field_change",
                "graph",
                "query",
                "review",
                "rows",
                "workflows",
            ],
        ),
        ("metrics", &["query", "reconcile", "refusal"]),
        ("queue", &["metrics", "refusal"]),
        (
            "leader",
            &[
                "clock",
                "command",
                "dispatch",
                "metrics",
                "query",
                "queue",
                "reconcile",
                "refusal",
                "workflows",
            ],
        ),
        (
            "http",
            &[
                "audit",
                "clock",
                "command",
                "error",
                "leader",
                "metrics",
                "paging",
                "query",
                "review",
                "workflows",
            ],
        ),
    ],
)];

/// A module below the root of its crate, name by name.
type Module = Vec<String>;

/// What a file imports: absolute paths in its crate, each with the name it is re-exported under.
#[derive(Default)]
struct Imports {
    module: Module,
    modules: BTreeSet<Module>,
    paths: Vec<(Module, Option<String>)>,
}

impl Imports {
    /// The path from the root of the crate; nothing for other crates and for what is in scope by other means.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut at = self.module.clone();
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => at.extend_from_slice(&path[1..]),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                at.truncate(at.len().checked_sub(ups)?);
                at.extend_from_slice(&path[ups..]);
            }
            child => {
                at.push(child.to_owned());
                if !self.modules.contains(&at) {
                    return None;
                }
                at.extend_from_slice(&path[1..]);
            }
        }
        Some(at)
    }

    fn note(&mut self, path: &[String], exported: Option<String>) {
        self.paths
            .extend(self.absolute(path).map(|path| (path, exported)));
    }

    fn tree(&mut self, tree: &UseTree, before: &mut Module, exported: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, exported);
                before.pop();
            }
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.tree(tree, before, exported)),
            UseTree::Glob(_) => self.note(before, None),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.leaf(&name, before, exported.then(|| name.clone()));
            }
            UseTree::Rename(rename) => {
                self.leaf(
                    &rename.ident.to_string(),
                    before,
                    exported.then(|| rename.rename.to_string()),
                );
            }
        }
    }

    fn leaf(&mut self, name: &str, before: &Module, exported: Option<String>) {
        let mut path = before.clone();
        if name != "self" {
            path.push(name.to_owned());
        }
        self.note(&path, exported);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let exported = !matches!(item.vis, Visibility::Inherited);
        self.tree(&item.tree, &mut Vec::new(), exported);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Module = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1 && ["crate", "super", "self"].contains(&names[0].as_str()) {
            self.note(&names, None);
        }
        visit::visit_path(self, path);
    }
}

/// The files of a crate by module, with what each imports.
fn imports(below: &str, sources: &[Source]) -> BTreeMap<Module, Imports> {
    let module = |source: &Source| -> Option<Module> {
        let path = source
            .path
            .strip_prefix(below)?
            .strip_prefix('/')?
            .strip_suffix(".rs")?;
        let mut names: Module = path.split('/').map(str::to_owned).collect();
        if ["mod", "lib", "main"].contains(&names.last()?.as_str()) {
            names.pop();
        }
        Some(names)
    };
    let files: Vec<(Module, &Source)> = sources
        .iter()
        .filter_map(|source| Some((module(source)?, source)))
        .collect();
    let modules: BTreeSet<Module> = files.iter().map(|(module, _)| module.clone()).collect();
    let production = files
        .into_iter()
        .filter(|(module, _)| module.last().is_none_or(|name| name != "tests"));
    let parsed = production.map(|(module, source)| {
        let file: File = syn::parse_file(&source.text).expect("the sources compile");
        let mut imports = Imports {
            module: module.clone(),
            modules: modules.clone(),
            paths: Vec::new(),
        };
        imports.visit_file(&file);
        (module, imports)
    });
    parsed.collect()
}

/// The file that defines what a path names: through re-exports, as far as they lead.
fn definition(path: &[String], files: &BTreeMap<Module, Imports>, left: usize) -> Option<Module> {
    let module = (0..=path.len())
        .rev()
        .map(|end| &path[..end])
        .find(|module| files.contains_key(*module))?;
    let rest = &path[module.len()..];
    let exported = rest.first().and_then(|name| {
        let mut paths = files[module].paths.iter();
        paths
            .find(|(_, exported)| exported.as_ref() == Some(name))
            .map(|(path, _)| path)
    });
    match exported.filter(|_| left > 0) {
        Some(target) => definition(&[target, &rest[1..]].concat(), files, left - 1),
        None => Some(module.to_vec()),
    }
}

/// Groups of files that reach each other.
fn cycles(files: &BTreeMap<Module, Imports>) -> Vec<BTreeSet<Module>> {
    let edges: BTreeMap<&Module, BTreeSet<Module>> = files
        .iter()
        .map(|(module, imports)| {
            let paths = imports
                .paths
                .iter()
                .filter(|(_, exported)| exported.is_none());
            let targets = paths
                .filter_map(|(path, _)| definition(path, files, 8))
                .filter(|target| target != module);
            (module, targets.collect())
        })
        .collect();
    let reach = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = open.pop() {
            open.extend(
                edges
                    .get(&at)
                    .into_iter()
                    .flatten()
                    .filter(|next| seen.insert((*next).clone()))
                    .cloned(),
            );
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        files.keys().map(|module| (module, reach(module))).collect();
    let group = |module: &Module| -> BTreeSet<Module> {
        reached[module]
            .iter()
            .filter(|other| reached[other].contains(module))
            .cloned()
            .collect()
    };
    let groups: BTreeSet<BTreeSet<Module>> = files
        .keys()
        .map(group)
        .filter(|group| !group.is_empty())
        .collect();
    groups.into_iter().collect()
}

#[test]
fn no_two_files_import_each_other() {
    let sources = workspace();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for below in CRATES {
        for group in cycles(&imports(below, &sources)) {
            let names: Vec<String> = group
                .iter()
                .map(|module| [&[below.to_owned()], &module[..]].concat().join("::"))
                .collect();
            match KNOWN
                .iter()
                .find(|known| names.iter().any(|name| name == *known))
            {
                Some(known) => drop(seen.insert(*known)),
                None => found.push(names.join(" ⇄ ")),
            }
        }
    }
    found.extend(
        KNOWN
            .iter()
            .filter(|known| !seen.contains(*known))
            .map(|known| format!("{known} is in no cycle: remove it from the list")),
    );
    assert!(found.is_empty(), "import cycles:\n{}", found.join("\n"));
}

/// Imports between the folders of a crate that the list does not allow, and folders that it does not name.
fn wrong_ways(files: &BTreeMap<Module, Imports>, folders: &[Folder]) -> BTreeSet<String> {
    let place = |name: &str| folders.iter().position(|(folder, _)| *folder == name);
    let mut wrong = BTreeSet::new();
    for (module, imports) in files {
        let Some(from) = module.first() else { continue };
        let Some(at) = place(from) else {
            wrong.insert(format!("{from} is not in the list"));
            continue;
        };
        let paths = imports
            .paths
            .iter()
            .filter_map(|(path, _)| definition(path, files, 8));
        for to in paths
            .filter_map(|target| target.first().cloned())
            .filter(|to| to != from)
        {
            if !folders[at].1.contains(&to.as_str()) {
                wrong.insert(format!("{} imports {to}", module.join("::")));
            }
        }
    }
    let upward = |(at, (folder, may)): (usize, &Folder)| {
        let up = may.iter().filter(|to| place(to).is_none_or(|to| to >= at));
        up.map(|to| format!("{folder} may not be allowed {to}: it is not above it in the list"))
            .collect::<Vec<_>>()
    };
    wrong.extend(folders.iter().enumerate().flat_map(upward));
    wrong
}

#[test]
fn folders_import_only_what_the_directions_allow() {
    let sources = workspace();
    let wrong = DIRECTIONS
        .iter()
        .flat_map(|(below, folders)| wrong_ways(&imports(below, &sources), folders));
    let wrong: Vec<String> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "directions between folders:\n{}",
        wrong.join("\n")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_against_the_directions_is_found() {
        let source = |(path, text): (&str, &str)| Source {
            path: format!("x/src/{path}"),
            text: text.to_owned(),
        };
        let files = [
            ("lib.rs", "mod low; mod high;"),
            ("low/mod.rs", "use crate::high::H; pub struct L;"),
            ("high.rs", "use crate::low::L; pub struct H;"),
        ];
        let files = imports("x/src", &files.map(source));
        let found = |folders: &[Folder]| Vec::from_iter(wrong_ways(&files, folders));
        assert_eq!(
            found(&[("low", &[]), ("high", &["low"])]),
            ["low imports high"]
        );
        assert_eq!(
            found(&[("low", &["high"]), ("high", &["low"])]).len(),
            1,
            "the list itself has no cycle"
        );
        assert_eq!(
            found(&[("low", &[])]),
            ["high is not in the list", "low imports high"]
        );
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source {
            path: format!("x/src/{path}"),
            text: (*text).to_owned(),
        };
        let sources: Vec<Source> = files.iter().map(source).collect();
        let groups = cycles(&imports("x/src", &sources));
        groups
            .into_iter()
            .map(|group| {
                group
                    .iter()
                    .map(|module| module.join("::"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    #[test]
    fn cycle_is_found_directly() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B(super::a::A);"),
        ];
        assert_eq!(found(&files), ["a b"]);
    }

    #[test]
    fn cycle_is_found_through_a_re_export() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod inner; pub use inner::{A as Renamed, A};"),
            ("a/inner.rs", "use crate::b::{B, C}; pub struct A;"),
            ("b.rs", "use crate::a::Renamed; pub struct B; pub struct C;"),
        ];
        assert_eq!(found(&files), ["a::inner b"]);
    }

    #[test]
    fn one_way_and_tests_are_no_cycle() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::A; use std::fmt; pub struct B;"),
        ];
        assert_eq!(found(&files), [] as [&str; 0]);
    }
}
