//! Where two bodies say different things.

use serde::Serialize;

use super::read::{Kind, Tree};

/// Differences that are told of one pair at most.
const MAX_TOLD: usize = 16;
/// Longest path, in bytes; behind it an ellipsis stands.
const MAX_PATH: usize = 256;
/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 200;

/// One place where two bodies differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// A JSON pointer (RFC 6901), cut when it is long; empty for the whole body.
    pub path: String,
    /// What is different there.
    pub what: DifferenceKind,
    /// The text of our value, when values were asked for and there is one; cut when it is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// The text of the other's value, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
}

/// What is different at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Both have a value of one kind, but not the same.
    Value,
    /// Both have a value, of different kinds.
    Kind,
    /// Only ours has something there.
    MissingInTheirs,
    /// Only theirs has something there.
    MissingInOurs,
}

/// The first few places, and how many more there are.
pub(crate) fn differences(
    ours: &Tree<'_>,
    theirs: &Tree<'_>,
    show_values: bool,
) -> (Vec<Difference>, usize) {
    let (mut told, mut more) = (Vec::new(), 0);
    let mut tell = |path: &str, what, our: Option<usize>, their: Option<usize>| {
        if told.len() == MAX_TOLD {
            more += 1;
            return;
        }
        let text = |tree: &Tree<'_>, number: Option<usize>| {
            let number = number.filter(|_| show_values)?;
            Some(cut(tree.text(number), MAX_VALUE))
        };
        let (ours, theirs) = (text(ours, our), text(theirs, their));
        told.push(Difference { path: path.to_owned(), what, ours, theirs });
    };
    let mut pairs = vec![(String::new(), 0, 0)];
    while let Some((path, our, their)) = pairs.pop() {
        let (a, b) = (ours.node(our), theirs.node(their));
        if a.kind != b.kind {
            let words = [Kind::True, Kind::False];
            let both = words.contains(&a.kind) && words.contains(&b.kind);
            let what = if both { DifferenceKind::Value } else { DifferenceKind::Kind };
            tell(&path, what, Some(our), Some(their));
            continue;
        }
        match a.kind {
            Kind::Null | Kind::True | Kind::False => {}
            Kind::String if ours.string(our) == theirs.string(their) => {}
            Kind::Number if same_number(ours.text(our), theirs.text(their)) => {}
            Kind::String | Kind::Number => {
                tell(&path, DifferenceKind::Value, Some(our), Some(their));
            }
            Kind::Array => {
                let (mut a, mut b) = (ours.children(our), theirs.children(their));
                let from = pairs.len();
                for at in 0.. {
                    let below = below(&path, &at.to_string());
                    match (a.next(), b.next()) {
                        (None, None) => break,
                        (Some(our), Some(their)) => pairs.push((below, our, their)),
                        (our, None) => tell(&below, DifferenceKind::MissingInTheirs, our, None),
                        (None, their) => tell(&below, DifferenceKind::MissingInOurs, None, their),
                    }
                }
                pairs[from..].reverse();
            }
            Kind::Object => {
                let members = |tree: &Tree<'_>, number| {
                    let mut members: Vec<_> = tree
                        .children(number)
                        .map(|child| (tree.key(child).into_owned(), child))
                        .collect();
                    members.sort();
                    members.into_iter().peekable()
                };
                let (mut a, mut b) = (members(ours, our), members(theirs, their));
                let from = pairs.len();
                loop {
                    let only_ours = match (a.peek(), b.peek()) {
                        (None, None) => break,
                        (Some(_), None) => Some(true),
                        (None, Some(_)) => Some(false),
                        (Some((a, _)), Some((b, _))) if a == b => None,
                        (Some((a, _)), Some((b, _))) => Some(a < b),
                    };
                    let our = a.next_if(|_| only_ours != Some(false));
                    let their = b.next_if(|_| only_ours != Some(true));
                    match (our, their) {
                        (Some((key, our)), Some((_, their))) => {
                            pairs.push((below(&path, &key), our, their));
                        }
                        (Some((key, our)), None) => {
                            let what = DifferenceKind::MissingInTheirs;
                            tell(&below(&path, &key), what, Some(our), None);
                        }
                        (None, Some((key, their))) => {
                            let what = DifferenceKind::MissingInOurs;
                            tell(&below(&path, &key), what, None, Some(their));
                        }
                        (None, None) => break,
                    }
                }
                pairs[from..].reverse();
            }
        }
    }
    (told, more)
}

/// The same rule as for digests: equal doubles, or equal text where there is no such double.
fn same_number(a: &str, b: &str) -> bool {
    let double = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (double(a), double(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a == b,
        _ => false,
    }
}

fn below(path: &str, key: &str) -> String {
    if path.ends_with('…') {
        return path.to_owned();
    }
    let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match path.len() > MAX_PATH {
        true => format!("{}…", &path[..path.floor_char_boundary(MAX_PATH)]),
        false => path,
    }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ours: &str, theirs: &str, expected: &[(&str, DifferenceKind)]) {
        let read = |text: &'static str| Tree::read(text.as_bytes()).unwrap();
        let (ours, theirs) = (ours.to_owned().leak(), theirs.to_owned().leak());
        let (found, more) = differences(&read(ours), &read(theirs), false);
        let found: Vec<_> = found.iter().map(|one| (one.path.as_str(), one.what)).collect();
        assert_eq!((found.as_slice(), more), (expected, 0), "{ours} {theirs}");
    }

    #[test]
    fn places_are_named() {
        use DifferenceKind::{Kind, MissingInOurs, MissingInTheirs, Value};
        check("{\"a\":1,\"b\":2}", "{\"b\":2.0, \"a\":1e0}", &[]);
        check("{\"a\":\"x\"}", "{\"a\":\"y\"}", &[("/a", Value)]);
        check("{\"a\":\"1\"}", "{\"a\":1}", &[("/a", Kind)]);
        check("{\"a\":true}", "{\"a\":false}", &[("/a", Value)]);
        check("{\"a\":null}", "{}", &[("/a", MissingInTheirs)]);
        check("{\"b\":1}", "{\"a\":1}", &[("/a", MissingInOurs), ("/b", MissingInTheirs)]);
        check(
            "{\"a/b\":{\"~\":[1,2]}}",
            "{\"a/b\":{\"~\":[1,3,4]}}",
            &[("/a~1b/~0/2", MissingInOurs), ("/a~1b/~0/1", Value)],
        );
        check("[]", "{}", &[("", Kind)]);
        check("{\"a\":1,\"a\":2}", "{\"a\":1}", &[("/a", MissingInTheirs)]);
        check("[1e999]", "[2e999]", &[("/0", Value)]);
    }

    #[test]
    fn values_are_shown_only_when_asked_for() {
        let read = |text: &'static str| Tree::read(text.as_bytes()).unwrap();
        let (ours, theirs) = (read("{\"a\":\"secret\"}"), read("{\"a\":\"other\"}"));
        let (found, _) = differences(&ours, &theirs, false);
        assert!(!format!("{found:?}").contains("secret"));
        let (found, _) = differences(&ours, &theirs, true);
        assert_eq!(found[0].ours.as_deref(), Some("\"secret\""));
        assert_eq!(found[0].theirs.as_deref(), Some("\"other\""));
    }

    #[test]
    fn many_and_deep_ones_are_cut() {
        let ours = format!("[{}0]", "0,".repeat(99));
        let theirs = ours.replace('0', "1");
        let (ours, theirs) = (Tree::read(ours.as_bytes()), Tree::read(theirs.as_bytes()));
        let (found, more) = differences(&ours.unwrap(), &theirs.unwrap(), false);
        assert_eq!((found.len(), more), (16, 84));
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(50_000), "]".repeat(50_000));
        let (ours, theirs) = (deep("1"), deep("2"));
        let (ours, theirs) = (Tree::read(ours.as_bytes()), Tree::read(theirs.as_bytes()));
        let (found, _) = differences(&ours.unwrap(), &theirs.unwrap(), false);
        assert!(found[0].path.len() < 300 && found[0].path.ends_with('…'));
    }
}
