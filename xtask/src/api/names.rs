//! Follows names: what a crate offers is what can be reached from its first module by `pub`, through
//! re-exports, wherever it is defined.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use syn::{Ident, Item, ItemMod, ItemUse, Type, UseTree, parse_quote};

use super::bare;
use super::source::{Module, for_tests};

/// A module, and a name in it: where something is defined.
type Place = (Vec<String>, String);

/// How far a chain of re-exports is followed; a longer one runs in a circle.
const CHAIN: usize = 16;

struct Crate<'a> {
    root: &'a Module,
    /// What was reached.
    reached: BTreeSet<Place>,
}

/// The items that others can name, each with what is implemented for it.
pub(super) fn offered(root: &Module) -> Result<Vec<Item>> {
    let mut krate = Crate { root, reached: BTreeSet::new() };
    let first = krate.module(root, &[])?;
    // Whether a trait is private is known only now.
    let blocks = krate.implementations();
    Ok(with_blocks(first, &blocks))
}

/// An item on its way to the page.
enum Found {
    Item {
        name: String,
        place: Place,
        item: Box<Item>,
    },
    Module {
        name: String,
        items: Vec<Found>,
    },
    /// Of another crate, or made by a macro.
    Foreign(Box<Item>),
}

impl Crate<'_> {
    fn module(&mut self, module: &Module, path: &[String]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for item in &module.items {
            match item {
                Item::Use(one) if bare::is_public(&one.vis) && !for_tests(&one.attrs) => {
                    for leaf in leaves(one) {
                        self.export(path, &leaf, one, &mut found)?;
                    }
                }
                Item::Mod(one) if bare::is_public(&one.vis) && !for_tests(&one.attrs) => {
                    let name = one.ident.to_string();
                    let (child, path) =
                        (&module.children[&name], [path, std::slice::from_ref(&name)].concat());
                    let items = self.module(child, &path)?;
                    found.push(Found::Module { name, items });
                }
                Item::Macro(one) if one.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
                    found.push(Found::Foreign(Box::new(bare::item(item.clone()))));
                }
                item => {
                    if let Some((name, true)) = name_of(item) {
                        self.take(name.clone(), (path.to_vec(), name), item, &mut found);
                    }
                }
            }
        }
        Ok(found)
    }

    fn take(&mut self, name: String, place: Place, item: &Item, found: &mut Vec<Found>) {
        self.reached.insert(place.clone());
        found.push(Found::Item { name, place, item: Box::new(item.clone()) });
    }

    fn export(
        &mut self,
        from: &[String],
        leaf: &Leaf,
        item: &ItemUse,
        found: &mut Vec<Found>,
    ) -> Result<()> {
        let Some((path, name)) = self.locate(from, &leaf.path, CHAIN) else {
            let ours = self.is_ours(from, &leaf.path[0]);
            ensure!(!ours || has_macros(self.root), "`{}` leads nowhere", leaf.path.join("::"));
            let (path, alias) =
                (idents(&leaf.path), Ident::new(&leaf.name, proc_macro2::Span::call_site()));
            let same = leaf.path.last() == Some(&leaf.name);
            let attributes = &item.attrs;
            let tree: ItemUse = match (leaf.name.as_str(), same) {
                ("*", _) => parse_quote!(#(#attributes)* pub use #(#path)::*::*;),
                (_, true) => parse_quote!(#(#attributes)* pub use #(#path)::*;),
                _ => parse_quote!(#(#attributes)* pub use #(#path)::* as #alias;),
            };
            let Item::Use(mut tree) = bare::item(Item::Use(tree)) else { return Ok(()) };
            if ours {
                tree.attrs.insert(0, parse_quote!(#[doc = " Made by a macro."]));
            }
            found.push(Found::Foreign(Box::new(Item::Use(tree))));
            return Ok(());
        };
        let module = self.at(&path).expect("places are found in modules");
        let root = self.root;
        let items = module.items.iter().filter(|one| name_of(one).is_some_and(|(n, _)| n == name));
        let items: Vec<Item> = items.cloned().collect();
        if items.is_empty() {
            let inner = [&path[..], std::slice::from_ref(&name)].concat();
            let child = at(root, &inner).expect("a place is an item or a module");
            let items = self.module(child, &inner)?;
            found.push(Found::Module { name: leaf.name.clone(), items });
        }
        for item in items {
            self.take(leaf.name.clone(), (path.clone(), name.clone()), &item, found);
        }
        Ok(())
    }

    fn at(&self, path: &[String]) -> Option<&Module> {
        at(self.root, path)
    }

    fn is_ours(&self, from: &[String], first: &str) -> bool {
        ["crate", "self", "super"].contains(&first)
            || self.at(from).is_some_and(|module| module.children.contains_key(first))
    }

    /// Where the thing is defined that `path` names in the module `from`; nothing when it is none of
    /// this crate.
    fn locate(&self, from: &[String], path: &[String], chain: usize) -> Option<Place> {
        let chain = chain.checked_sub(1)?;
        let (first, rest) = path.split_first()?;
        let module = self.at(from)?;
        match (first.as_str(), rest) {
            ("crate", _) => return self.locate(&[], rest, chain),
            ("self", _) => return self.locate(from, rest, chain),
            ("super", _) => return self.locate(&from[..from.len().checked_sub(1)?], rest, chain),
            (name, [])
                if module.items.iter().any(|one| name_of(one).is_some_and(|(n, _)| n == name)) =>
            {
                return Some((from.to_vec(), name.to_owned()));
            }
            _ => {}
        }
        if module.children.contains_key(first) {
            if rest.is_empty() {
                return Some((from.to_vec(), first.clone()));
            }
            return self.locate(&[from, std::slice::from_ref(first)].concat(), rest, chain);
        }
        // Brought in from elsewhere, perhaps with all its neighbours.
        for item in &module.items {
            let Item::Use(item) = item else { continue };
            for leaf in leaves(item) {
                let target = match leaf.name.as_str() {
                    "*" => [&leaf.path[..], path].concat(),
                    name if name == first => [&leaf.path[..], rest].concat(),
                    _ => continue,
                };
                if target == path {
                    continue;
                }
                if let Some(place) = self.locate(from, &target, chain) {
                    return Some(place);
                }
            }
        }
        None
    }

    /// What is implemented for what was reached.
    fn implementations(&self) -> BTreeMap<Place, Vec<Item>> {
        let mut blocks = BTreeMap::new();
        self.blocks_in(self.root, &[], &mut blocks);
        for items in blocks.values_mut() {
            items.sort_by_cached_key(|item| {
                let file =
                    syn::File { shebang: None, attrs: Vec::new(), items: vec![item.clone()] };
                (
                    matches!(item, Item::Impl(one) if one.trait_.is_some()),
                    prettyplease::unparse(&file),
                )
            });
        }
        blocks
    }

    fn blocks_in(&self, module: &Module, path: &[String], blocks: &mut BTreeMap<Place, Vec<Item>>) {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            if for_tests(&block.attrs) {
                continue;
            }
            let Some(place) = names(&block.self_ty).and_then(|of| self.locate(path, &of, CHAIN))
            else {
                continue;
            };
            let of_private_trait = block.trait_.as_ref().is_some_and(|(_, path_of, _)| {
                let names: Vec<String> =
                    path_of.segments.iter().map(|one| one.ident.to_string()).collect();
                let place = self.locate(path, &names, CHAIN);
                place.is_some_and(|place| !self.reached.contains(&place))
            });
            if self.reached.contains(&place) && !of_private_trait {
                blocks.entry(place).or_default().extend(bare::implementation(block.clone()));
            }
        }
        for (name, child) in &module.children {
            self.blocks_in(child, &[path, std::slice::from_ref(name)].concat(), blocks);
        }
    }
}

/// Whether a macro is called where items are.
fn has_macros(module: &Module) -> bool {
    let called = |item: &Item| matches!(item, Item::Macro(one) if one.ident.is_none());
    module.items.iter().any(called) || module.children.values().any(has_macros)
}

fn at<'a>(root: &'a Module, path: &[String]) -> Option<&'a Module> {
    path.iter().try_fold(root, |module, name| module.children.get(name))
}

/// By name, modules last; each item with its blocks behind it.
fn with_blocks(mut found: Vec<Found>, blocks: &BTreeMap<Place, Vec<Item>>) -> Vec<Item> {
    found.sort_by_key(|one| match one {
        Found::Foreign(_) => (0, String::new()),
        Found::Item { name, .. } => (1, name.clone()),
        Found::Module { name, .. } => (2, name.clone()),
    });
    let mut items = Vec::new();
    for one in found {
        match one {
            Found::Foreign(item) => items.push(*item),
            Found::Item { name, place, item } => {
                items.push(named(bare::item(*item), &name));
                items.extend(blocks.get(&place).into_iter().flatten().cloned());
            }
            Found::Module { name, items: inner } => {
                let ident = Ident::new(&name, proc_macro2::Span::call_site());
                let mut module: ItemMod = parse_quote!(pub mod #ident {});
                module.content = Some((Default::default(), with_blocks(inner, blocks)));
                items.push(Item::Mod(module));
            }
        }
    }
    items
}

/// A name that something is given to others under.
struct Leaf {
    path: Vec<String>,
    name: String,
}

fn leaves(item: &ItemUse) -> Vec<Leaf> {
    fn walk(tree: &UseTree, path: &[String], leaves: &mut Vec<Leaf>) {
        let with = |name: &Ident| [path, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(one) => walk(&one.tree, &with(&one.ident), leaves),
            UseTree::Group(group) => group.items.iter().for_each(|one| walk(one, path, leaves)),
            UseTree::Glob(_) => leaves.push(Leaf { path: path.to_vec(), name: "*".to_owned() }),
            UseTree::Rename(one) => {
                leaves.push(Leaf { path: with(&one.ident), name: one.rename.to_string() });
            }
            // `use a::{self}` is `use a`.
            UseTree::Name(one) if one.ident == "self" => {
                let name = path.last().cloned().unwrap_or_default();
                leaves.push(Leaf { path: path.to_vec(), name });
            }
            UseTree::Name(one) => {
                leaves.push(Leaf { path: with(&one.ident), name: one.ident.to_string() });
            }
        }
    }
    let mut found = Vec::new();
    walk(&item.tree, &[], &mut found);
    found
}

fn idents(path: &[String]) -> Vec<Ident> {
    let ident = |name: &String| Ident::new(name, proc_macro2::Span::call_site());
    path.iter().map(ident).collect()
}

/// The name of an item, and whether it is public.
fn name_of(item: &Item) -> Option<(String, bool)> {
    let (ident, visibility, attributes) = match item {
        Item::Const(one) => (&one.ident, &one.vis, &one.attrs),
        Item::Enum(one) => (&one.ident, &one.vis, &one.attrs),
        Item::Fn(one) => (&one.sig.ident, &one.vis, &one.attrs),
        Item::Static(one) => (&one.ident, &one.vis, &one.attrs),
        Item::Struct(one) => (&one.ident, &one.vis, &one.attrs),
        Item::Trait(one) => (&one.ident, &one.vis, &one.attrs),
        Item::Type(one) => (&one.ident, &one.vis, &one.attrs),
        _ => return None,
    };
    (!for_tests(attributes)).then(|| (ident.to_string(), bare::is_public(visibility)))
}

/// Others see it under the name that it is given on under.
fn named(mut item: Item, name: &str) -> Item {
    let given = Ident::new(name, proc_macro2::Span::call_site());
    match &mut item {
        Item::Const(one) => one.ident = given,
        Item::Enum(one) => one.ident = given,
        Item::Fn(one) => one.sig.ident = given,
        Item::Static(one) => one.ident = given,
        Item::Struct(one) => one.ident = given,
        Item::Trait(one) => one.ident = given,
        Item::Type(one) => one.ident = given,
        _ => {}
    }
    item
}

/// The path that a type is named by; nothing for what has no name, as a tuple.
fn names(of: &Type) -> Option<Vec<String>> {
    match of {
        Type::Path(path) => {
            Some(path.path.segments.iter().map(|one| one.ident.to_string()).collect())
        }
        Type::Reference(reference) => names(&reference.elem),
        _ => None,
    }
}
