//! The modules of a crate with their items, read from its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::{Attribute, Item, ItemMod};

/// A module. What is there only for tests is left out.
#[derive(Default)]
pub(super) struct Module {
    pub(super) items: Vec<Item>,
    pub(super) children: BTreeMap<String, Module>,
}

impl Module {
    /// Reads a crate from its first file.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let folder = file.parent().context("a file is in a folder")?;
        Self::file(file, folder)
    }

    /// Reads a file whose modules lie in `folder`.
    fn file(file: &Path, folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        Self::items(parsed.items, folder, file.parent().unwrap_or(folder))
    }

    fn items(items: Vec<Item>, folder: &Path, beside: &Path) -> Result<Self> {
        let mut module = Self::default();
        for item in items {
            if let Item::Mod(child) = &item {
                if for_tests(&child.attrs) {
                    continue;
                }
                let name = child.ident.to_string();
                let within = folder.join(&name);
                let read = match &child.content {
                    Some((_, items)) => Self::items(items.clone(), &within, &within)?,
                    None => Self::elsewhere(child, folder, beside)?,
                };
                module.children.insert(name, read);
            }
            module.items.push(item);
        }
        Ok(module)
    }

    fn elsewhere(child: &ItemMod, folder: &Path, beside: &Path) -> Result<Self> {
        let name = child.ident.to_string();
        if let Some(path) = given_path(&child.attrs) {
            let file = beside.join(path);
            let folder = file.parent().unwrap_or(folder).to_owned();
            return Self::file(&file, &folder);
        }
        let candidates: [PathBuf; 2] =
            [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
        for file in candidates {
            if file.is_file() {
                return Self::file(&file, &folder.join(&name));
            }
        }
        bail!("the module `{name}` has no file below `{}`", folder.display())
    }
}

/// The file that `#[path = "…"]` names.
fn given_path(attributes: &[Attribute]) -> Option<String> {
    let value = attributes.iter().find(|one| one.path().is_ident("path"))?;
    let syn::Meta::NameValue(value) = &value.meta else { return None };
    match &value.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// Whether something is compiled for tests only.
pub(super) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|one| match &one.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}
