//! Comparing Auth versions: to find the *nearest* table, to notice downgrades, and to find the
//! nearest newer artifact where an operator allows one. Whether an artifact fits exactly is never
//! a matter of order, only of equality.

use std::cmp::Ordering;

use ev_core::AuthVersion;

/// A version taken apart as semantic versioning does (<https://semver.org>, item 11); what is not
/// there counts as 0, build metadata is left out, and text that is no version sorts below all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed<'a> {
    numbers: [u64; 3],
    pre_release: Option<&'a str>,
}

fn parse(version: &AuthVersion) -> Option<Parsed<'_>> {
    let text = version.as_str();
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(text, _)| text);
    let (core, pre_release) = match text.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (text, None),
    };
    let mut numbers = [0; 3];
    for (index, part) in core.split('.').enumerate() {
        *numbers.get_mut(index)? = part.parse().ok()?;
    }
    Some(Parsed { numbers, pre_release })
}

/// Whether `a` is older than, as old as, or newer than `b`.
pub fn compare_versions(a: &AuthVersion, b: &AuthVersion) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => {
            a.numbers.cmp(&b.numbers).then_with(|| match (a.pre_release, b.pre_release) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(a), Some(b)) => compare_pre_releases(a, b),
            })
        }
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => a.cmp(b),
    }
}

/// Whether both have the same major and minor number.
pub(crate) fn same_minor(a: &AuthVersion, b: &AuthVersion) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.numbers[..2] == b.numbers[..2],
        _ => false,
    }
}

/// Whether `other` is newer than `version`, and of the same major number. Never so for text that
/// is no version.
pub(crate) fn is_newer_in_major(other: &AuthVersion, version: &AuthVersion) -> bool {
    match (parse(other), parse(version)) {
        (Some(a), Some(b)) => {
            a.numbers[0] == b.numbers[0] && compare_versions(other, version) == Ordering::Greater
        }
        _ => false,
    }
}

/// Index of the version that is nearest to `wanted`: the highest not above it, else the lowest.
/// A pre-release is nearest to its own release and to other pre-releases of it: `18.0.0-dev` has
/// the schema that `18.0.0` is about to get, and is preferred for `18.0.0-alpha` to `17.9.0`.
pub(crate) fn nearest<'a>(
    wanted: &AuthVersion,
    versions: impl Iterator<Item = &'a AuthVersion> + Clone,
) -> Option<usize> {
    let indexed = || versions.clone().enumerate();
    let at_most = |of: &AuthVersion| {
        parse(of).map(|parsed| parsed.numbers) <= parse(wanted).map(|parsed| parsed.numbers)
    };
    indexed()
        .filter(|(_, version)| at_most(version))
        .max_by(|(_, a), (_, b)| compare_versions(a, b))
        .or_else(|| indexed().min_by(|(_, a), (_, b)| compare_versions(a, b)))
        .map(|(index, _)| index)
}

fn compare_pre_releases(a: &str, b: &str) -> Ordering {
    let mut a = a.split('.');
    let mut b = b.split('.');
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let rising = [
            "nightly",
            "9.3.1",
            "13.3.8",
            "15.0.0-alpha.2",
            "15.0.0-alpha.10",
            "15.0.0-dev",
            "15.0.0",
            "15.0.1",
            "15.10.0",
            "18.0.0-dev",
            "18.0.0",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                let order = compare_versions(&AuthVersion::new(a), &AuthVersion::new(b));
                assert_eq!(order, i.cmp(&j), "{a} {b}");
            }
        }
        let same = compare_versions(&AuthVersion::new("v18.1+x"), &AuthVersion::new("18.1.0"));
        assert_eq!(same, Ordering::Equal);
    }

    #[test]
    fn nearest_is_the_highest_not_above() {
        let embedded = ["13.3.8", "15.0.0-dev", "18.0.0-dev"].map(AuthVersion::new);
        let check = |wanted: &str, found: &str| {
            let index = nearest(&AuthVersion::new(wanted), embedded.iter());
            assert_eq!(embedded[index.unwrap()].as_str(), found, "{wanted}");
        };
        check("13.3.8", "13.3.8");
        check("9.0.0", "13.3.8");
        check("14.3.0", "13.3.8");
        check("15.0.0-alpha.1", "15.0.0-dev");
        check("15.0.0", "15.0.0-dev");
        check("17.7.9", "15.0.0-dev");
        check("18.0.0-alpha", "18.0.0-dev");
        check("21.4.0", "18.0.0-dev");
        check("nonsense", "13.3.8");
        assert_eq!(nearest(&AuthVersion::new("1"), [].iter()), None);
    }

    #[test]
    fn newer_ones_of_the_same_major() {
        let check = |other, version, expected| {
            let (other, version) = (AuthVersion::new(other), AuthVersion::new(version));
            assert_eq!(is_newer_in_major(&other, &version), expected, "{other} {version}");
        };
        check("18.1.1", "18.1.0", true);
        check("18.10.0", "18.9.3", true);
        check("18.1.0", "18.1.0", false);
        check("18.0.9", "18.1.0", false);
        check("19.0.0", "18.1.0", false);
        check("17.9.9", "18.1.0", false);
        // Pre-releases are older than their release and newer than the release before.
        check("18.1.0", "18.1.0-rc.1", true);
        check("18.1.0-rc.2", "18.1.0-rc.1", true);
        check("18.1.0-rc.10", "18.1.0-rc.9", true);
        check("18.1.0-rc.1", "18.1.0", false);
        check("18.1.1-alpha", "18.1.0", true);
        check("18.0.0-dev", "17.9.0", false);
        // Builds of one version are as old as each other.
        check("18.1.0+build", "18.1.0", false);
        check("nightly", "18.1.0", false);
        check("18.1.0", "nightly", false);
        check("nightly2", "nightly", false);
    }

    #[test]
    fn minors() {
        let same = |a, b| same_minor(&AuthVersion::new(a), &AuthVersion::new(b));
        assert!(same("18.1.0", "18.1.7"));
        assert!(same("18.1.0-dev", "18.1.7"));
        assert!(!same("18.1.0", "18.2.0"));
        assert!(!same("x", "x"));
    }
}
