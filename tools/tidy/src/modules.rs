//! Circles of modules: how many modules of a crate need each other, directly or through others.
//!
//! A module is a file. An arrow leads from a file to each module whose items it names, in a `use`
//! or in place. A re-export is followed to where the item is, and is no arrow itself. Left out are
//! the crate's root with what it re-exports (`crate::Hub` composes everything, and features add
//! methods to it), what a module knows of the modules around it (`super::`), and tests.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::rust::is_for_tests;

/// A module's path from the crate's root: `["invitations", "record"]`.
type Name = Vec<String>;

/// The modules of one crate.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    modules: BTreeMap<Name, Module>,
}

#[derive(Debug, Default)]
struct Module {
    /// Paths that it names, from the crate's root, without those that it re-exports.
    names: BTreeSet<Name>,
    /// Where an item that it re-exports is.
    exports: BTreeMap<String, Name>,
}

impl Crate {
    /// Adds a file, by its path below the crate's `src`.
    pub(crate) fn add(&mut self, path: &str, file: &syn::File) {
        let mut name: Name = path
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(
            name.last().map(String::as_str),
            Some("mod" | "lib" | "main")
        ) {
            name.pop();
        }
        let children = file.items.iter().filter_map(|item| match item {
            syn::Item::Mod(child) => Some(child.ident.to_string()),
            _ => None,
        });
        let mut collector = Collector {
            children: children.collect(),
            name: name.clone(),
            module: Module::default(),
        };
        collector.visit_file(file);
        self.modules.insert(name, collector.module);
    }

    /// The largest circle; empty where no two modules need each other.
    pub(crate) fn largest_circle(&self) -> Vec<String> {
        let arrows: BTreeMap<&Name, BTreeSet<&Name>> = self
            .modules
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, module)| {
                let to = module.names.iter().filter_map(|path| self.home(path, 8));
                // Its own name and those around it are prefixes of its name; so is the root's.
                (name, to.filter(|to| !name.starts_with(to)).collect())
            })
            .collect();
        let reached: BTreeMap<&Name, BTreeSet<&Name>> = arrows
            .keys()
            .map(|name| (*name, reach(&arrows, name)))
            .collect();
        let circle = |name: &&Name| -> Vec<&Name> {
            let there = reached[*name].iter();
            there
                .copied()
                .filter(|other| reached[*other].contains(*name))
                .collect()
        };
        let largest = arrows.keys().map(circle).max_by_key(Vec::len);
        largest
            .unwrap_or_default()
            .iter()
            .map(|name| name.join("::"))
            .collect()
    }

    /// The module in which the item of a path is.
    fn home(&self, path: &[String], depth: usize) -> Option<&Name> {
        let (module, rest) = (0..=path.len()).rev().find_map(|end| {
            let found = self.modules.get_key_value(&path[..end])?;
            Some((found, &path[end..]))
        })?;
        let (name, module) = module;
        let Some(item) = rest.first().filter(|_| depth > 0) else {
            return Some(name);
        };
        match module.exports.get(item) {
            Some(to) if !name.is_empty() => self.home(to, depth - 1),
            _ => Some(name),
        }
    }
}

fn reach<'a>(
    arrows: &BTreeMap<&'a Name, BTreeSet<&'a Name>>,
    from: &'a Name,
) -> BTreeSet<&'a Name> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        for to in arrows.get(next).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}

struct Collector {
    name: Name,
    children: BTreeSet<String>,
    module: Module,
}

impl Collector {
    /// A path from the crate's root, if it is one of this crate's.
    fn resolve(&self, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Name::new(),
            "self" => self.name.clone(),
            "super" => self.name.split_last()?.1.to_vec(),
            child if self.children.contains(child) => {
                let mut base = self.name.clone();
                base.push(child.to_owned());
                base
            }
            _ => return None,
        };
        for part in rest {
            if part == "super" {
                base.pop();
            } else {
                base.push(part.clone());
            }
        }
        Some(base)
    }

    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree, is_export: bool) {
        let mut path = prefix.to_vec();
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&path, &part.tree, is_export);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(&path, tree, is_export);
                }
            }
            syn::UseTree::Glob(_) => {
                // Where an item that comes by a glob is, is not known: it counts as the module's.
                if let Some(to) = self.resolve(&path).filter(|_| !is_export) {
                    self.module.names.insert(to);
                }
            }
            syn::UseTree::Name(last) => self.leaf(path, &last.ident, &last.ident, is_export),
            syn::UseTree::Rename(last) => self.leaf(path, &last.ident, &last.rename, is_export),
        }
    }

    fn leaf(&mut self, mut path: Name, item: &syn::Ident, as_: &syn::Ident, is_export: bool) {
        if item != "self" {
            path.push(item.to_string());
        }
        let Some(to) = self.resolve(&path) else {
            return;
        };
        if is_export {
            self.module.exports.insert(as_.to_string(), to);
        } else {
            self.module.names.insert(to);
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_export = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&[], &item.tree, is_export);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts = path.segments.iter().map(|part| part.ident.to_string());
        let parts: Name = parts.collect();
        // A single word is a local item.
        if parts.len() > 1
            && let Some(to) = self.resolve(&parts)
        {
            self.module.names.insert(to);
        }
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(files: &[(&str, &str)]) -> Vec<String> {
        let mut made = Crate::default();
        for (path, text) in files {
            made.add(path, &syn::parse_file(text).expect("Rust"));
        }
        made.largest_circle()
    }

    #[test]
    fn modules_that_need_each_other_are_a_circle() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b; mod c; mod d; mod e; pub use d::Word;",
            ),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "fn f() { crate::c::g() }"),
            ("c.rs", "use super::a::A; use crate::Word;"),
            ("d.rs", "use crate::a::A;"),
            ("e.rs", "#[cfg(test)] mod tests { use crate::a::A; }"),
        ];
        assert_eq!(circle(&files), ["a", "b", "c"]);
        assert_eq!(circle(&files[..3]), [""; 0]);
    }

    #[test]
    fn a_re_export_is_followed_and_is_no_arrow() {
        let files = [
            ("lib.rs", "mod p;"),
            (
                "p/mod.rs",
                "mod one; mod two; pub(crate) use one::One; fn f(x: two::Two) {}",
            ),
            ("p/one.rs", "struct One;"),
            ("p/two.rs", "use crate::p::One;"),
        ];
        assert_eq!(circle(&files), [""; 0]);
        let files = [
            ("lib.rs", "mod p;"),
            ("p/mod.rs", "mod two; struct Here; fn f(x: two::Two) {}"),
            ("p/two.rs", "use super::Here; use crate::q::Q;"),
            ("q.rs", "use crate::p::Here;"),
        ];
        assert_eq!(circle(&files), ["p", "p::two", "q"]);
        assert_eq!(circle(&files[..3]), [""; 0]);
    }
}
