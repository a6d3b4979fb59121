//! The known key that an unknown one was probably meant to be.

/// The candidate that is nearest to `word`, if one is near enough to be worth naming.
///
/// A candidate that ends with the whole word (`forward.fluentd.url` for `fluentd-url`) is near,
/// and dots, dashes and underscores are the same.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    nearest_within(allowed, word, candidates)
}

/// As [`nearest`], within a distance.
pub(crate) fn nearest_within<'a>(
    allowed: usize,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = levelled(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let level = levelled(candidate);
            let is_tail = level.strip_suffix(&word).is_some_and(|head| head.ends_with('.'));
            let distance = if is_tail { 0 } else { distance(&word, &level) };
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lower case, with all that separates words the same.
fn levelled(word: &str) -> String {
    word.to_lowercase().replace(['-', '_'], ".")
}

/// Number of characters to insert, delete or replace to make one word the other, neighbours that
/// changed places counting once.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    // Row i holds the distances of the first i characters of `a`; three rows are kept.
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            next[j] = (row[j] + 1).min(next[j - 1] + 1).min(row[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let check = |a, b, expected| {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        };
        check("", "", 0);
        check("", "abc", 3);
        check("batch", "batch", 0);
        check("bacth", "batch", 1);
        check("btch", "batch", 1);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn only_near_words_are_named() {
        let known = ["batch", "teleport.addr", "forward.fluentd.url"];
        let check = |word, expected| assert_eq!(nearest(word, known), expected, "{word}");
        check("Batch", Some("batch"));
        check("bath", Some("batch"));
        check("teleport.adr", Some("teleport.addr"));
        check("fluentd.url", Some("forward.fluentd.url"));
        check("fluentd-url", Some("forward.fluentd.url"));
        check("FLUENTD_URL", Some("forward.fluentd.url"));
        check("url", Some("forward.fluentd.url"));
        check("something-else", None);
        check("x", None);
    }
}
