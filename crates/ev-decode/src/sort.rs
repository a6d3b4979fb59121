//! Sorting without an allocation, in little code: the guest carries it along.

/// Up to this length the simple way is the fastest one; most maps and messages are shorter.
const SHORT: usize = 20;

/// Sorts by `less`, a strict order; equal items may change places.
///
/// Takes n log n steps at most, and n for items that are in order.
#[inline]
pub(crate) fn sort_by<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    if items.len() <= SHORT {
        return insertion(items, &less);
    }
    if items.is_sorted_by(|a, b| !less(b, a)) {
        return;
    }
    // The sort of the standard library is faster, and has twenty times the code.
    #[cfg(not(target_arch = "wasm32"))]
    items.sort_unstable_by(|a, b| {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match (less(a, b), less(b, a)) {
            (true, _) => Less,
            (_, true) => Greater,
            _ => Equal,
        }
    });
    #[cfg(target_arch = "wasm32")]
    heap(items, &less);
}

fn insertion<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for end in 1..items.len() {
        let item = items[end];
        let mut at = end;
        while at > 0 && less(&item, &items[at - 1]) {
            items[at] = items[at - 1];
            at -= 1;
        }
        items[at] = item;
    }
}

#[cfg(any(target_arch = "wasm32", test))]
fn heap<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    for root in (0..items.len() / 2).rev() {
        sink(items, root, less);
    }
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sink(&mut items[..end], 0, less);
    }
}

/// Moves an item down until none below it is greater.
#[cfg(any(target_arch = "wasm32", test))]
fn sink<T: Copy>(items: &mut [T], mut at: usize, less: &impl Fn(&T, &T) -> bool) {
    let Some(&item) = items.get(at) else { return };
    loop {
        let mut below = 2 * at + 1;
        if below >= items.len() {
            break;
        }
        if below + 1 < items.len() && less(&items[below], &items[below + 1]) {
            below += 1;
        }
        if !less(&item, &items[below]) {
            break;
        }
        items[at] = items[below];
        at = below;
    }
    items[at] = item;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(mut items in prop::collection::vec(0..50u16, 0..100)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            let (mut heaped, mut inserted) = (items.clone(), items.clone());
            sort_by(&mut items, |a, b| a < b);
            heap(&mut heaped, &|a, b| a < b);
            insertion(&mut inserted, &|a, b| a < b);
            prop_assert_eq!(&items, &expected);
            prop_assert_eq!(&heaped, &expected);
            prop_assert_eq!(&inserted, &expected);
        }
    }
}
