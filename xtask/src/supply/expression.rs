//! SPDX licence expressions: which of the offered licences a package is taken under.
//! <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

/// Best first: where a package leaves the choice, our own licence is taken, since its text goes
/// along anyway.
const ORDER: [&str; 8] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "Unicode-3.0",
];

type Licences = BTreeSet<&'static str>;

/// The licences whose terms have to be met: of each `OR` the better side, of each `AND` both.
///
/// # Errors
///
/// The expression cannot be read, or nothing of a choice is in the list above.
pub(super) fn chosen(expression: &str) -> Result<Licences> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>();
    words.reverse();
    let chosen = either(&mut words).with_context(|| format!("licence `{expression}`"))?;
    if !words.is_empty() {
        bail!("licence `{expression}` goes on after its end");
    }
    chosen.with_context(|| format!("nothing of `{expression}` is in the list of licences"))
}

/// The words are taken from the end, where the next one is.
fn either(words: &mut Vec<&str>) -> Result<Option<Licences>> {
    let mut best = both(words)?;
    while words.last() == Some(&"OR") {
        words.pop();
        let other = both(words)?;
        best = [best, other].into_iter().flatten().min_by_key(cost);
    }
    Ok(best)
}

fn both(words: &mut Vec<&str>) -> Result<Option<Licences>> {
    let mut all = one(words)?;
    while words.last() == Some(&"AND") {
        words.pop();
        let other = one(words)?;
        all = all.zip(other).map(|(one, other)| one.union(&other).copied().collect());
    }
    Ok(all)
}

fn one(words: &mut Vec<&str>) -> Result<Option<Licences>> {
    let word = words.pop().context("a licence is missing")?;
    if word == "(" {
        let inner = either(words)?;
        if words.pop() != Some(")") {
            bail!("a bracket is not closed");
        }
        return Ok(inner);
    }
    let mut name = word.to_owned();
    if words.last() == Some(&"WITH") {
        words.pop();
        name = format!("{name} WITH {}", words.pop().context("an exception is missing")?);
    }
    Ok(ORDER.iter().find(|known| **known == name).map(|known| Licences::from([*known])))
}

/// Fewer licences first, then better ones.
fn cost(licences: &Licences) -> (usize, usize) {
    let places = licences.iter().filter_map(|one| ORDER.iter().position(|known| known == one));
    (licences.len(), places.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_side_is_taken_and_both_of_two() {
        let check = |expression: &str, expected: &[&'static str]| {
            assert_eq!(chosen(expression).unwrap(), expected.iter().copied().collect());
        };
        check("MIT", &["MIT"]);
        check("MIT OR Apache-2.0", &["Apache-2.0"]);
        check("Unlicense OR MIT", &["MIT"]);
        check("Apache-2.0 AND ISC", &["Apache-2.0", "ISC"]);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", &["Apache-2.0", "Unicode-3.0"]);
        check("Apache-2.0 WITH LLVM-exception", &["Apache-2.0 WITH LLVM-exception"]);
        check("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", &["Apache-2.0"]);
        check("ISC OR (MIT AND Zlib)", &["ISC"]);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(chosen("GPL-3.0-only").is_err());
        assert!(chosen("MIT AND GPL-3.0-only").is_err());
        assert!(chosen("MIT OR").is_err());
        assert!(chosen("(MIT").is_err());
        assert!(chosen("MIT MIT").is_err());
    }
}
