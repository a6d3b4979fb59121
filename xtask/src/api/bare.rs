//! Items without what others cannot use: bodies, values, comments, private parts.

use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Visibility, parse_quote};

/// What of the attributes says how an item may be used.
const KEPT: [&str; 6] = ["cfg", "default", "deprecated", "derive", "must_use", "non_exhaustive"];

/// The item as others see it.
pub(super) fn item(mut item: Item) -> Item {
    match &mut item {
        Item::Const(one) => {
            attributes(&mut one.attrs);
            *one.expr = parse_quote!(_);
        }
        Item::Static(one) => {
            attributes(&mut one.attrs);
            *one.expr = parse_quote!(_);
        }
        Item::Fn(one) => {
            attributes(&mut one.attrs);
            signature(&mut one.sig);
            *one.block = parse_quote!({});
        }
        Item::Struct(one) => {
            attributes(&mut one.attrs);
            if fields(&mut one.fields) {
                one.attrs.insert(0, parse_quote!(#[doc = " Has private fields."]));
            }
        }
        Item::Enum(one) => {
            attributes(&mut one.attrs);
            for variant in &mut one.variants {
                attributes(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| attributes(&mut field.attrs));
            }
        }
        Item::Trait(one) => {
            attributes(&mut one.attrs);
            one.items.iter_mut().for_each(of_trait);
        }
        Item::Type(one) => attributes(&mut one.attrs),
        Item::Use(one) => attributes(&mut one.attrs),
        Item::Macro(one) => {
            attributes(&mut one.attrs);
            one.mac.tokens = Default::default();
        }
        _ => {}
    }
    item
}

/// What of an `impl` others can use; nothing when that is nothing.
pub(super) fn implementation(mut block: ItemImpl) -> Option<Item> {
    attributes(&mut block.attrs);
    let of_trait = block.trait_.is_some();
    let items = std::mem::take(&mut block.items);
    let kept = items.into_iter().filter_map(|mut item| {
        let keep = match &mut item {
            ImplItem::Fn(one) => {
                attributes(&mut one.attrs);
                signature(&mut one.sig);
                one.block = parse_quote!({});
                is_public(&one.vis)
            }
            ImplItem::Const(one) => {
                attributes(&mut one.attrs);
                one.expr = parse_quote!(_);
                is_public(&one.vis)
            }
            // What a trait makes of it is a part of what others see; its functions are not news.
            ImplItem::Type(one) => {
                attributes(&mut one.attrs);
                of_trait
            }
            _ => false,
        };
        keep.then_some(item)
    });
    block.items = kept.collect();
    (of_trait || !block.items.is_empty()).then_some(Item::Impl(block))
}

pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn of_trait(item: &mut TraitItem) {
    match item {
        TraitItem::Fn(one) => {
            attributes(&mut one.attrs);
            // An empty body tells that there is one.
            if one.default.is_some() {
                one.default = Some(parse_quote!({}));
            }
        }
        TraitItem::Const(one) => {
            attributes(&mut one.attrs);
            if let Some((_, value)) = &mut one.default {
                *value = parse_quote!(_);
            }
        }
        TraitItem::Type(one) => attributes(&mut one.attrs),
        _ => {}
    }
}

/// Takes private fields away and says whether there were any.
fn fields(fields: &mut Fields) -> bool {
    let before = fields.len();
    match fields {
        Fields::Named(named) => {
            let all = std::mem::take(&mut named.named);
            named.named = all.into_iter().filter(|field| is_public(&field.vis)).collect();
            named.named.iter_mut().for_each(|field| attributes(&mut field.attrs));
            named.named.len() < before
        }
        Fields::Unnamed(unnamed) => {
            // The places of the others are a part of what is seen.
            let all: Punctuated<_, _> = std::mem::take(&mut unnamed.unnamed);
            let mut private = false;
            unnamed.unnamed = all
                .into_iter()
                .map(|mut field: syn::Field| {
                    attributes(&mut field.attrs);
                    if !is_public(&field.vis) {
                        private = true;
                        field.ty = parse_quote!(_);
                        field.vis = Visibility::Inherited;
                    }
                    field
                })
                .collect();
            private
        }
        Fields::Unit => false,
    }
}

/// Takes away what of the arguments is the body's affair.
fn signature(signature: &mut syn::Signature) {
    for argument in &mut signature.inputs {
        match argument {
            syn::FnArg::Receiver(receiver) if receiver.reference.is_none() => {
                receiver.mutability = None;
            }
            syn::FnArg::Typed(typed) => {
                if let syn::Pat::Ident(name) = &mut *typed.pat {
                    name.mutability = None;
                }
            }
            syn::FnArg::Receiver(_) => {}
        }
    }
}

fn attributes(attributes: &mut Vec<Attribute>) {
    attributes.retain(|one| KEPT.iter().any(|kept| one.path().is_ident(kept)));
}
