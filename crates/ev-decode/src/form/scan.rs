//! Finds what must be rearranged or reads otherwise.

use super::{FormBuffers, Frame, Member, Object, Refused, Span, key, number, offset};
use crate::json;
use crate::table::DuplicateKeys;

pub(super) struct Scanner<'a> {
    go: &'a [u8],
    rule: DuplicateKeys,
    buffers: &'a mut FormBuffers,
    /// Whether the innermost open container is an object.
    in_object: bool,
    /// End of the last thing that reads otherwise in the `struct` flavour; 0 if there is none.
    /// What begins there or behind it reads the same so far.
    differs: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(go: &'a [u8], rule: DuplicateKeys, buffers: &'a mut FormBuffers) -> Self {
        Self { go, rule, buffers, in_object: false, differs: 0 }
    }

    /// Whether the flavours differ at all.
    pub(super) fn differs(&self) -> bool {
        self.differs != 0
    }

    /// Fills the buffers with the objects to rearrange.
    pub(super) fn scan(&mut self) -> Result<(), Refused> {
        let mut pos = 0;
        while let Some(&byte) = self.go.get(pos) {
            match byte {
                b'"' if self.in_object => pos = self.member(pos),
                b'"' => pos = self.string(pos),
                b'{' | b'[' => {
                    self.open(pos, byte == b'{');
                    pos += 1;
                }
                b'}' | b']' => {
                    self.close(pos)?;
                    pos += 1;
                }
                b',' => pos += 1,
                _ => pos = self.number(pos).max(pos + 1),
            }
        }
        // Objects around rearranged ones stay what they are.
        self.buffers.objects.retain(|object| object.first != Object::AS_IT_IS);
        Ok(())
    }

    /// Reads a member, up to its value if that is a container. Returns the offset behind.
    #[inline]
    fn member(&mut self, start: usize) -> usize {
        let text = &self.go[start + 1..];
        let (len, escaped) = json::string_end(text);
        // Behind both quotes and the colon.
        let value = (start + len + 3).min(self.go.len());
        if escaped {
            self.differs = value;
        }
        let prefix = key::prefix(text, len, escaped);
        let span = Span { start: offset(start), end: offset(value) };
        let index = self.buffers.open.len();
        self.buffers.open.push(Member { prefix, span });
        let end = match self.go.get(value) {
            Some(b'"') => self.string(value),
            // It ends when the container closes.
            Some(b'{' | b'[') | None => return value,
            Some(_) => self.number(value),
        };
        self.end_member(index, end);
        end
    }

    #[inline]
    fn end_member(&mut self, index: usize, end: usize) {
        if let Some(Member { span, .. }) = self.buffers.open.get_mut(index) {
            let differs = if self.differs > span.start() { Span::DIFFERS } else { 0 };
            span.end = offset(end) | differs;
        }
    }

    /// Steps over a string.
    #[inline]
    fn string(&mut self, start: usize) -> usize {
        let (len, escaped) = json::string_end(&self.go[start + 1..]);
        let end = (start + len + 2).min(self.go.len());
        if escaped {
            self.differs = end;
        }
        end
    }

    /// Steps over a number, `true`, `false` or `null`.
    #[inline]
    fn number(&mut self, start: usize) -> usize {
        let end = number::end(self.go, start);
        if number::may_differ(&self.go[start..end]) {
            self.differs = end;
        }
        end
    }

    fn open(&mut self, at: usize, is_object: bool) {
        let FormBuffers { open, frames, objects, .. } = &mut *self.buffers;
        let object = if is_object { offset(objects.len()) } else { Frame::LIST };
        if is_object {
            let none = Object::AS_IT_IS;
            objects.push(Object { at: offset(at), close: 0, first: none, end: none });
        }
        frames.push(Frame { first: offset(open.len()), object });
        self.in_object = is_object;
    }

    fn close(&mut self, at: usize) -> Result<(), Refused> {
        let Some(frame) = self.buffers.frames.pop() else { return Ok(()) };
        if frame.is_object() {
            self.close_object(frame, at)?;
        }
        self.in_object = self.buffers.frames.last().is_some_and(|frame| frame.is_object());
        if self.in_object {
            // The container is the value of the last open member.
            self.end_member(self.buffers.open.len().wrapping_sub(1), at + 1);
        }
        Ok(())
    }

    fn close_object(&mut self, frame: Frame, at: usize) -> Result<(), Refused> {
        let go = self.go;
        let FormBuffers { open, frames, objects, .. } = &mut *self.buffers;
        let first = frame.first as usize;
        let own = &mut open[first..];
        if own.windows(2).all(|pair| key::is_less(go, &pair[0], &pair[1])) {
            open.truncate(first);
            // Without a rearranged object inside, nobody needs to know of it.
            if objects.len() == frame.object as usize + 1 {
                objects.pop();
            }
            return Ok(());
        }
        key::sort(go, own);
        if own.windows(2).any(|pair| key::is_equal(go, &pair[0], &pair[1])) {
            match self.rule {
                DuplicateKeys::Refuse => return Err(Refused::DuplicateKey),
                DuplicateKeys::Cut if !frames.is_empty() => {
                    self.cut(frame);
                    return Ok(());
                }
                // Equal keys of the event itself both stay.
                DuplicateKeys::Cut => {}
            }
        }
        self.keep(frame, at);
        Ok(())
    }

    /// Leaves away the event's member that `inner` is a part of, and all that follow.
    fn cut(&mut self, inner: Frame) {
        let FormBuffers { open, frames, .. } = &mut *self.buffers;
        let Some(&root) = frames.first().filter(|root| root.is_object()) else {
            return open.truncate(inner.first as usize);
        };
        // The first container inside the event was opened right behind the member it stands in.
        let behind = frames.get(1).unwrap_or(&inner).first as usize;
        open.truncate(behind.saturating_sub(1));
        frames.clear();
        key::sort(self.go, open);
        self.keep(root, self.go.len().saturating_sub(1));
        // Nothing is left to scan.
        self.go = &[];
    }

    /// Keeps the members of an object, sorted by now, which closes at `at`.
    fn keep(&mut self, frame: Frame, at: usize) {
        let FormBuffers { open, objects, members, .. } = &mut *self.buffers;
        let own = open.drain(frame.first as usize..);
        let first = offset(members.len());
        members.extend(own.map(|member| member.span));
        if let Some(object) = objects.get_mut(frame.object as usize) {
            object.close = offset(at);
            object.first = first;
            object.end = offset(members.len());
        }
        self.differs = at + 1;
    }
}
