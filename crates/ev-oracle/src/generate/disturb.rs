//! Encodings that gogo reads and does not write: out of order, in parts, twice, with what the
//! schema lacks, and a few that nobody reads.

use prost_reflect::MessageDescriptor;

use super::choices::Choices;
use super::event::{Density, Plans};
use super::node::{Body, Node};
use super::values;

/// Changes one message somewhere in the tree, that of the event included.
pub(super) fn disturb(
    plans: &Plans,
    of: &MessageDescriptor,
    nodes: &mut Vec<Node>,
    choices: &mut Choices<'_>,
) {
    let mut at = choices.below(1 + count(nodes));
    if at == 0 {
        change(plans, of, nodes, choices);
    } else {
        descend(nodes, &mut at, &mut |of, nodes| change(plans, of, nodes, choices));
    }
}

/// How many messages there are in the tree.
fn count(nodes: &[Node]) -> usize {
    let inside = |node: &Node| match &node.body {
        Body::Message(_, nodes) => 1 + count(nodes),
        _ => 0,
    };
    nodes.iter().map(inside).sum()
}

/// Finds the message that is `at`-th, counted from 1.
fn descend(
    nodes: &mut [Node],
    at: &mut usize,
    change: &mut impl FnMut(&MessageDescriptor, &mut Vec<Node>),
) {
    for node in nodes {
        if let Body::Message(of, nodes) = &mut node.body {
            *at -= 1;
            if *at == 0 {
                change(of, nodes);
                return;
            }
            descend(nodes, at, change);
            if *at == 0 {
                return;
            }
        }
    }
}

fn change(plans: &Plans, of: &MessageDescriptor, nodes: &mut Vec<Node>, choices: &mut Choices<'_>) {
    let place = choices.below(nodes.len() + 1);
    match choices.below(16) {
        0 | 1 => shuffle(nodes, choices),
        2 => nodes.reverse(),
        3 if !nodes.is_empty() => {
            let copy = choices.pick(nodes).clone();
            nodes.insert(place, copy);
        }
        // The same field again, with another value, or any field out of order.
        4..7 => {
            let again = match nodes.first() {
                Some(_) if choices.below(2) == 0 => {
                    let number = choices.pick(nodes).number;
                    u32::try_from(number).ok().and_then(|number| of.get_field(number))
                }
                _ => None,
            };
            let fields = of.fields().len();
            let field = again.or_else(|| of.fields().nth(choices.below(fields)));
            let density = Density::any(choices);
            let node = field.and_then(|field| plans.one(&field, density, 2, choices));
            nodes.splice(place..place, node);
        }
        7 | 8 => split(nodes, choices),
        9 => {
            let body = match choices.below(2) {
                0 => Body::Varint(0, 0),
                _ => Body::Bytes(Vec::new()),
            };
            let number = of.fields().nth(choices.below(of.fields().len()));
            let number = number.map_or(1, |field| field.number());
            nodes.insert(place, Node::new(number, body));
        }
        10..13 => {
            let node = unknown(choices, 0);
            nodes.insert(place, node);
        }
        _ => {
            if let Some(node) = nodes.get_mut(place) {
                respell(node, choices);
            }
        }
    }
}

fn shuffle(nodes: &mut [Node], choices: &mut Choices<'_>) {
    for at in (1..nodes.len()).rev() {
        nodes.swap(at, choices.below(at + 1));
    }
}

/// A message becomes two, anywhere among the others.
fn split(nodes: &mut Vec<Node>, choices: &mut Choices<'_>) {
    let messages: Vec<_> =
        (0..nodes.len()).filter(|at| matches!(nodes[*at].body, Body::Message(..))).collect();
    if messages.is_empty() {
        return;
    }
    let at = *choices.pick(&messages);
    let mut node = nodes[at].clone();
    let (Body::Message(_, first), Body::Message(_, second)) = (&mut nodes[at].body, &mut node.body)
    else {
        return;
    };
    if choices.once_in(3) {
        let cut = choices.below(first.len() + 1);
        first.truncate(cut);
        second.drain(..cut);
    } else {
        let keep: Vec<bool> = first.iter().map(|_| choices.below(2) == 0).collect();
        let mut kept = keep.iter();
        first.retain(|_| *kept.next().unwrap_or(&true));
        let mut kept = keep.iter();
        second.retain(|_| !*kept.next().unwrap_or(&true));
    }
    let place = choices.below(nodes.len() + 1);
    nodes.insert(place, node);
}

/// A field that no schema has, or that some have.
fn unknown(choices: &mut Choices<'_>, depth: usize) -> Node {
    const NUMBERS: [u32; 8] =
        [400, 7, 15, 16, 2047, 19_000, (1 << 29) - 1, i32::MAX.unsigned_abs()];
    let number = if choices.once_in(3) {
        u32::try_from(1 + choices.below(300)).unwrap_or(1)
    } else {
        *choices.pick(&NUMBERS)
    };
    let body = match choices.below(6) {
        0 => Body::Varint(values::number(choices), 0),
        1 => Body::Fixed64(choices.bits()),
        2 => Body::Fixed32(7),
        3 | 4 if depth < 6 => {
            let count = choices.below(3);
            Body::Group((0..count).map(|_| unknown(choices, depth + 1)).collect())
        }
        _ => Body::Bytes(values::text(choices)),
    };
    Node::new(number, body)
}

/// Another spelling of the same, or something that is wrong.
fn respell(node: &mut Node, choices: &mut Choices<'_>) {
    match choices.below(12) {
        0 | 8 => node.padding = choices.below(6),
        // gogo cuts numbers to 32 bits.
        1 | 9 => node.number |= 1 << (32 + choices.below(29)),
        2 => node.wire = u8::try_from(choices.below(8)).ok(),
        3 | 10 => {
            if let Body::Varint(_, padding) = &mut node.body {
                *padding = choices.below(10);
            }
        }
        4 => {
            node.body = match choices.below(4) {
                0 => Body::Varint(values::number(choices), 0),
                1 => Body::Bytes(values::text(choices)),
                2 => Body::Fixed64(choices.bits()),
                _ => Body::Group(Vec::new()),
            };
        }
        // In entries gogo does not look at the wire types of key and value.
        5 | 11 => {
            if let Body::Message(of, nodes) = &mut node.body
                && of.is_map_entry()
            {
                for inside in nodes.iter_mut() {
                    inside.wire = u8::try_from(choices.below(8)).ok();
                }
            }
        }
        6 => {
            if let Body::Message(_, nodes) = &mut node.body {
                nodes.clear();
            }
        }
        _ => {
            if let Body::Message(_, nodes) = &mut node.body {
                let copies = nodes.clone();
                nodes.extend(copies);
            }
        }
    }
}
