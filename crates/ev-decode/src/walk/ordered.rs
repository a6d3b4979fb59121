//! Messages whose fields come in declaration order: written as they are read.

use ev_core::wire;

use super::{Walk, Walker};
use crate::table::{Field, Kind, Message};

impl<'a> Walker<'a> {
    /// A message as an object. `buf` ends where the message ends; `top` says that its fields are
    /// the event's own, so that they may hold facts.
    pub(super) fn object(
        &mut self,
        message: &'a Message,
        buf: &'a [u8],
        pos: usize,
        top: bool,
    ) -> Walk {
        let open = self.out.len();
        self.members(message, buf, pos, top)?;
        self.close(open);
        Ok(())
    }

    /// The members of a message, each with a comma in front.
    fn members(&mut self, message: &'a Message, buf: &'a [u8], mut pos: usize, top: bool) -> Walk {
        let table = self.table;
        let fields = table.fields_of(message);
        let (mut absent, absent_end) = message.defaults;
        let mut next = 0;
        while pos < buf.len() {
            let at = pos;
            let Some(field) = self.field(message, fields, buf, &mut pos)? else { continue };
            if field.first >= next {
                // Whatever was passed over is absent, or the order is not kept.
                self.write_defaults(absent, field.defaults.0);
                absent = field.defaults.1;
                next = field.after;
            } else {
                self.reordered = true;
                self.quiet = true;
            }
            let hidden = field.hidden().then_some((self.out.len(), self.unprintable));
            if field.kind == Kind::String {
                // Most fields are.
                self.string_value(field, buf, &mut pos, at, top)?;
            } else {
                self.value(field, buf, &mut pos, at, top)?;
            }
            if let Some((written, unprintable)) = hidden {
                // Never printed, but its bytes had to be well-formed.
                self.out.truncate(written);
                self.unprintable = unprintable;
            }
            if self.quiet {
                self.out.clear();
            }
        }
        if !self.quiet {
            self.write_defaults(absent, absent_end);
        }
        Ok(())
    }

    /// One field, and for lists and maps the run of occurrences that follows.
    fn value(
        &mut self,
        field: &'a Field,
        buf: &'a [u8],
        pos: &mut usize,
        at: usize,
        top: bool,
    ) -> Walk {
        match field.kind {
            Kind::Embed => {
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                let sub = &self.table.messages[usize::from(field.sub)];
                self.members(sub, &buf[..range.end], range.start, top)
            }
            Kind::Message => {
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                let sub = &self.table.messages[usize::from(field.sub)];
                self.write_key(field);
                self.object(sub, &buf[..range.end], range.start, false)?;
                if field.oneof {
                    self.out.push(b'}');
                }
                Ok(())
            }
            Kind::Messages => {
                let sub = &self.table.messages[usize::from(field.sub)];
                let tag = &buf[at..*pos];
                self.write_key(field);
                self.out.push(b'[');
                loop {
                    let range = self.read(at, wire::len_delimited(buf, pos))?;
                    self.object(sub, &buf[..range.end], range.start, false)?;
                    if !self.next_in_run(buf, pos, tag) {
                        break;
                    }
                    self.out.push(b',');
                }
                self.out.push(b']');
                Ok(())
            }
            Kind::Strings => {
                let tag = &buf[at..*pos];
                self.write_key(field);
                self.out.push(b'[');
                loop {
                    let range = self.read(at, wire::len_delimited(buf, pos))?;
                    self.out.string(self.event, range.start, range.end);
                    if !self.next_in_run(buf, pos, tag) {
                        break;
                    }
                    self.out.push(b',');
                }
                self.out.push(b']');
                Ok(())
            }
            Kind::MapString | Kind::MapInt32 => {
                let tag = &buf[at..*pos];
                let first = self.buffers.entries.len();
                let mut entry_at = at;
                loop {
                    self.map_entry(field.kind, buf, pos, entry_at)?;
                    entry_at = *pos;
                    if !self.next_in_run(buf, pos, tag) {
                        break;
                    }
                }
                self.map(field, first);
                Ok(())
            }
            Kind::Struct => {
                let first = self.buffers.entries.len();
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                self.struct_entries(&buf[..range.end], range.start)?;
                self.structure(field, first)
            }
            Kind::Traits => {
                let first = self.buffers.entries.len();
                let range = self.read(at, wire::len_delimited(buf, pos))?;
                self.traits_entries(&buf[..range.end], range.start)?;
                self.traits(field, first)
            }
            _ => self.scalar(field, buf, pos, at, top),
        }
    }

    /// Whether the same tag, byte for byte, stands next; then moves behind it. The same field under
    /// another spelling of its tag is found by the message's loop, as a field out of order.
    #[inline]
    fn next_in_run(&mut self, buf: &[u8], pos: &mut usize, tag: &[u8]) -> bool {
        let more = buf[*pos..].starts_with(tag);
        if more {
            self.count_tag();
            *pos += tag.len();
        }
        more
    }
}
