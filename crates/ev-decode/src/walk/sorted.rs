//! Messages whose fields do not come in order, come twice, or come in parts: an index of their
//! fields, as slices of the event, is sorted and printed.
//!
//! What several occurrences of a field mean is gogo's: messages and structs merge, lists and maps
//! grow, everything else is replaced by the last one (traits only by one that is not empty). The
//! bytes were found well-formed by the pass before.

use ev_core::wire;

use super::{Walk, Walker, offset};
use crate::sort::sort_by;
use crate::table::{Field, Kind};

/// One occurrence of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Place of the field, or of the first member of its oneof.
    first: u16,
    place: u16,
    /// Offset of its tag.
    at: u32,
    /// Offset behind its tag.
    value: u32,
    /// Where the part of the message ends in which it stands.
    end: u32,
}

impl Walker<'_> {
    /// Prints a message given by its parts.
    pub(super) fn sorted_object(&mut self, message: usize, parts: &[(u32, u32)]) -> Walk {
        let first = self.buffers.parts.len();
        self.buffers.parts.extend_from_slice(parts);
        self.object_of_parts(message, first)
    }

    fn object_of_parts(&mut self, message: usize, parts_from: usize) -> Walk {
        let open = self.out.len();
        self.members_of_parts(message, parts_from)?;
        self.close(open);
        Ok(())
    }

    /// The members of the message whose parts were kept from `parts_from` on.
    fn members_of_parts(&mut self, message: usize, parts_from: usize) -> Walk {
        let table = self.table;
        let message = &table.messages[message];
        let fields = table.fields_of(message);
        let found_from = self.buffers.found.len();
        for index in parts_from..self.buffers.parts.len() {
            let (start, end) = self.buffers.parts[index];
            let buf = &self.event[..end as usize];
            let mut pos = start as usize;
            while pos < buf.len() {
                let at = pos;
                let (number, kind) = self.read(at, wire::tag(buf, &mut pos))?;
                let value = pos;
                self.read(at, wire::skip(buf, &mut pos, kind))?;
                if let Some(place) = table.place(message, number) {
                    self.buffers.found.push(Found {
                        first: fields[place].first,
                        // A message has at most 4,096 fields.
                        place: u16::try_from(place).unwrap_or_default(),
                        at: offset(at),
                        value: offset(value),
                        end,
                    });
                }
            }
        }
        self.buffers.parts.truncate(parts_from);
        sort_by(&mut self.buffers.found[found_from..], |a, b| (a.first, a.at) < (b.first, b.at));
        let (mut absent, absent_end) = message.defaults;
        let end = self.buffers.found.len();
        let mut index = found_from;
        while index < end {
            let first = self.buffers.found[index].first;
            let run = self.buffers.found[index..end].iter();
            let behind = index + run.take_while(|found| found.first == first).count();
            let last = self.buffers.found[behind - 1];
            let field = &fields[usize::from(last.place)];
            self.write_defaults(absent, field.defaults.0);
            absent = field.defaults.1;
            if !field.hidden() {
                self.occurrences(field, index, behind)?;
            }
            index = behind;
        }
        self.write_defaults(absent, absent_end);
        self.buffers.found.truncate(found_from);
        Ok(())
    }

    /// The bytes of a length-delimited field.
    fn body(&mut self, found: Found) -> Walk<(u32, u32)> {
        let mut pos = found.value as usize;
        let range = self.read(
            found.at as usize,
            wire::len_delimited(&self.event[..found.end as usize], &mut pos),
        )?;
        Ok((offset(range.start), offset(range.end)))
    }

    /// Prints a field that occurs as `found[from..to]`.
    fn occurrences(&mut self, field: &Field, from: usize, to: usize) -> Walk {
        let event = self.event;
        let sub = usize::from(field.sub);
        let last = self.buffers.found[to - 1];
        let until = |end: u32| &event[..end as usize];
        match field.kind {
            Kind::Embed | Kind::Message => {
                let parts_from = self.buffers.parts.len();
                // Another member of a oneof replaces, and so does the same one.
                for index in if field.oneof { to - 1 } else { from }..to {
                    let part = self.body(self.buffers.found[index])?;
                    self.buffers.parts.push(part);
                }
                if field.kind == Kind::Embed {
                    return self.members_of_parts(sub, parts_from);
                }
                self.write_key(field);
                self.object_of_parts(sub, parts_from)?;
                if field.oneof {
                    self.out.push(b'}');
                }
            }
            Kind::Messages | Kind::Strings => {
                self.write_key(field);
                for index in from..to {
                    self.out.push(if index == from { b'[' } else { b',' });
                    let (start, end) = self.body(self.buffers.found[index])?;
                    if field.kind == Kind::Strings {
                        self.string((start, end));
                    } else {
                        self.sorted_object(sub, &[(start, end)])?;
                    }
                }
                self.out.push(b']');
            }
            Kind::MapString | Kind::MapInt32 => {
                let first = self.buffers.entries.len();
                for index in from..to {
                    let found = self.buffers.found[index];
                    let mut pos = found.value as usize;
                    self.map_entry(field.kind, until(found.end), &mut pos, found.at as usize)?;
                }
                self.map(field, first);
            }
            Kind::Struct => {
                let first = self.buffers.entries.len();
                for index in from..to {
                    let (start, end) = self.body(self.buffers.found[index])?;
                    self.struct_entries(until(end), start as usize)?;
                }
                self.structure(field, first)?;
            }
            Kind::Traits => {
                let first = self.buffers.entries.len();
                for index in (from..to).rev() {
                    let (start, end) = self.body(self.buffers.found[index])?;
                    self.traits_entries(until(end), start as usize)?;
                    if self.buffers.entries.len() > first {
                        break;
                    }
                }
                self.traits(field, first)?;
            }
            _ => {
                let mut pos = last.value as usize;
                self.scalar(field, until(last.end), &mut pos, last.at as usize, false)?;
            }
        }
        Ok(())
    }
}
