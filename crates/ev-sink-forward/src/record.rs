//! A JSON object as a record of msgpack, in one pass and with no tree in between.

use ev_core::Timestamp;

use crate::msgpack::{double, negative, nil_or_bool, text, unsigned};
use crate::number::{Number, number};

/// The member that tells when an event happened.
const TIME: &[u8] = b"time";

/// The bytes are no JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject {
    /// Where that shows, in bytes.
    pub(crate) at: usize,
}

/// Turns objects into records.
///
/// Every object becomes a map and every array an array whose head has a length of 16 bits, which
/// is written once the members have been counted; more than 65,535 of them are given 32 bits then.
#[derive(Default)]
pub(crate) struct Converter {
    /// Objects and arrays that are open.
    open: Vec<Open>,
    /// A text without its escapes.
    plain: Vec<u8>,
}

struct Open {
    is_object: bool,
    /// Where its head is in the output.
    head: usize,
    members: u32,
}

impl Converter {
    /// Appends the record of an object; returns the event's own time if it has one.
    pub(crate) fn convert(
        &mut self,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Timestamp>, NotAnObject> {
        self.open.clear();
        let mut walk = Walk { json, at: 0, out, time: None };
        match walk.object(self) {
            Some(()) => Ok(walk.time),
            None => Err(NotAnObject { at: walk.at }),
        }
    }
}

struct Walk<'a> {
    json: &'a [u8],
    at: usize,
    out: &'a mut Vec<u8>,
    time: Option<Timestamp>,
}

impl Walk<'_> {
    /// The whole text; `None` where it is no JSON.
    fn object(&mut self, converter: &mut Converter) -> Option<()> {
        if self.peek()? != b'{' {
            return None;
        }
        // Whether the value to come is the member `time` of the event itself.
        let mut is_time = false;
        loop {
            if !self.value(converter, std::mem::take(&mut is_time))? {
                // An object or array has begun that is not empty.
                if converter.open.last()?.is_object {
                    is_time = self.name(converter)?;
                }
                continue;
            }
            // A value has ended, and with it perhaps those around it.
            loop {
                let Some(open) = converter.open.last_mut() else {
                    return self.peek().is_none().then_some(());
                };
                match (self.peek()?, open.is_object) {
                    (b',', is_object) => {
                        self.at += 1;
                        open.members = open.members.checked_add(1)?;
                        if is_object {
                            is_time = self.name(converter)?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        self.close(converter.open.pop()?);
                    }
                    _ => return None,
                }
            }
        }
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.json.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// A value, or the beginning of an object or array that is not empty: then `false`.
    fn value(&mut self, converter: &mut Converter, is_time: bool) -> Option<bool> {
        match self.peek()? {
            head @ (b'{' | b'[') => {
                self.at += 1;
                let is_object = head == b'{';
                let end = if is_object { b'}' } else { b']' };
                let open = Open { is_object, head: self.out.len(), members: 0 };
                self.out.extend_from_slice(&[if is_object { 0xde } else { 0xdc }, 0, 0]);
                if self.peek()? == end {
                    self.at += 1;
                    self.close(open);
                    return Some(true);
                }
                converter.open.push(Open { members: 1, ..open });
                return Some(false);
            }
            b'"' => {
                let text = self.string(&mut converter.plain)?;
                if is_time {
                    self.time = std::str::from_utf8(text).ok().and_then(Timestamp::parse);
                }
                crate::msgpack::text(self.out, text)?;
            }
            b't' => self.word(b"true", Some(true))?,
            b'f' => self.word(b"false", Some(false))?,
            b'n' => self.word(b"null", None)?,
            _ => self.number()?,
        }
        Some(true)
    }

    /// The name of a member with its colon; whether it is the event's time.
    fn name(&mut self, converter: &mut Converter) -> Option<bool> {
        self.peek()?;
        let is_outermost = converter.open.len() == 1;
        let name = self.string(&mut converter.plain)?;
        let is_time = is_outermost && name == TIME;
        text(self.out, name)?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        Some(is_time)
    }

    fn word(&mut self, word: &[u8], value: Option<bool>) -> Option<()> {
        if !self.json[self.at..].starts_with(word) {
            return None;
        }
        self.at += word.len();
        nil_or_bool(self.out, value);
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let rest = &self.json[self.at..];
        let part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| part(byte)).count();
        match number(std::str::from_utf8(&rest[..length]).ok()?)? {
            Number::Unsigned(value) => unsigned(self.out, value),
            Number::Negative(value) => negative(self.out, value),
            Number::Double(value) => double(self.out, value),
            Number::Text(digits) => text(self.out, digits.as_bytes())?,
        }
        self.at += length;
        Some(())
    }

    /// A text, without its escapes.
    fn string<'b>(&mut self, plain: &'b mut Vec<u8>) -> Option<&'b [u8]>
    where
        Self: 'b,
    {
        if self.json.get(self.at) != Some(&b'"') {
            return None;
        }
        self.at += 1;
        plain.clear();
        loop {
            let rest = self.json.get(self.at..)?;
            let run = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..0x20))?;
            plain.extend_from_slice(&rest[..run]);
            self.at += run;
            match rest[run] {
                b'"' => {
                    self.at += 1;
                    return Some(plain);
                }
                b'\\' => {
                    let escape = *rest.get(run + 1)?;
                    self.at += 2;
                    self.escape(escape, plain)?;
                }
                // Control characters stand in no text.
                _ => return None,
            }
        }
    }

    fn escape(&mut self, escape: u8, plain: &mut Vec<u8>) -> Option<()> {
        plain.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode()?;
                let mut buffer = [0; 4];
                plain.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    /// What stands behind `\u`; the replacement character for half of a pair, as Go has it.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if let Some(character) = char::from_u32(first) {
            return Some(character);
        }
        if first < 0xdc00 && self.json[self.at..].starts_with(b"\\u") {
            let behind_first = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = behind_first;
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.json.get(self.at..self.at + 4)?;
        let mut value = 0;
        for digit in digits {
            value = value << 4 | char::from(*digit).to_digit(16)?;
        }
        self.at += 4;
        Some(value)
    }

    /// Writes the length of an object or array into its head.
    fn close(&mut self, open: Open) {
        let Open { head, members, is_object } = open;
        if let Ok(members) = u16::try_from(members) {
            self.out[head + 1..head + 3].copy_from_slice(&members.to_be_bytes());
        } else {
            let [a, b, c, d] = members.to_be_bytes();
            let long = [if is_object { 0xdf } else { 0xdd }, a, b, c, d];
            self.out.splice(head..head + 3, long);
        }
    }
}

#[cfg(test)]
mod tests;
