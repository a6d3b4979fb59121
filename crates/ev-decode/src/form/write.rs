//! Writes what the scan found.

use std::ops::Range;

use super::{FormBuffers, Object, Writing, number, offset};
use crate::json;

/// Writes `go` from front to back, rearranged objects member by member in their new order.
pub(super) fn write(go: &[u8], out: &mut Vec<u8>, buffers: &mut FormBuffers) {
    let FormBuffers { objects, members, writing, .. } = buffers;
    // What is being written, and the first rearranged object that does not begin in front of it.
    let mut here = 0..go.len();
    let mut ahead = 0;
    loop {
        match objects.get(ahead) {
            Some(object) if (object.at as usize) < here.end => {
                write_text(go, here.start..object.at as usize, out);
                out.push(b'{');
                writing.push(Writing { object: offset(ahead), next: object.first });
            }
            _ => write_text(go, here.clone(), out),
        }
        // The next member that does not read the same, or what follows a finished object.
        loop {
            let Some(top) = writing.last_mut() else { return };
            let object = objects[top.object as usize];
            if top.next == object.end {
                out.push(b'}');
                ahead = top.object as usize + 1;
                writing.pop();
                let around = writing.last().map(|top| members[top.next as usize - 1].end());
                here = object.close as usize + 1..around.unwrap_or(go.len());
                break;
            }
            if top.next != object.first {
                out.push(b',');
            }
            let span = members[top.next as usize];
            top.next += 1;
            if span.differs() {
                here = span.start()..span.end();
                ahead = top.object as usize + 1;
                break;
            }
            out.extend_from_slice(go.get(span.start()..span.end()).unwrap_or_default());
        }
        ahead = first_from(objects, ahead, here.start);
    }
}

/// The first object from `ahead` on that begins at `pos` or behind.
fn first_from(objects: &[Object], ahead: usize, pos: usize) -> usize {
    let rest = objects.get(ahead..).unwrap_or_default();
    // Mostly it is the next one.
    match rest.first() {
        Some(object) if (object.at as usize) < pos => {
            ahead + rest.partition_point(|object| (object.at as usize) < pos)
        }
        _ => ahead,
    }
}

/// Writes a part of the bytes, which begins and ends between tokens, in its order.
fn write_text(go: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    let text = go.get(range).unwrap_or_default();
    // What is not yet copied begins here.
    let mut from = 0;
    let mut pos = 0;
    while let Some(&byte) = text.get(pos) {
        match byte {
            b'"' => {
                let start = pos + 1;
                let (len, escaped) = json::string_end(&text[start..]);
                let end = start + len.min(text.len() - start);
                if escaped {
                    out.extend_from_slice(&text[from..start]);
                    json::write_utf8_from_escapes(out, &text[start..end]);
                    from = end;
                }
                pos = end + 1;
            }
            b'-' | b'0'..=b'9' => {
                let end = number::end(text, pos);
                if let Some(digits) = number::rounded(&text[pos..end]) {
                    out.extend_from_slice(&text[from..pos]);
                    out.extend_from_slice(digits.as_bytes());
                    from = end;
                }
                pos = end;
            }
            _ => pos += 1,
        }
    }
    out.extend_from_slice(&text[from..]);
}
