//! All of msgpack, as a tree, and that as JSON with its members in their order.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Extension(i8, Vec<u8>),
}

impl Value {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(key, _)| key.bytes() == Some(name.as_bytes())).map(|(_, v)| v)
    }

    /// As JSON without spaces. Extensions and bytes become `null`, which no record of an event
    /// holds.
    pub(super) fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Nil | Self::Binary(_) | Self::Extension(..) => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Unsigned(value) => out.push_str(&value.to_string()),
            Self::Signed(value) => out.push_str(&value.to_string()),
            Self::Double(value) => out.push_str(&value.to_string()),
            Self::Text(text) => {
                let text = serde_json::to_string(&String::from_utf8_lossy(text));
                out.push_str(&text.unwrap_or_default());
            }
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    name.write(out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// The first value and its length; `None` if there is no whole one, or a byte that is reserved.
pub(super) fn parse(bytes: &[u8]) -> Option<(Value, usize)> {
    let mut rest = bytes;
    let value = value(&mut rest)?;
    Some((value, bytes.len() - rest.len()))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

/// A number of so many bytes, most significant first.
fn number(rest: &mut &[u8], size: usize) -> Option<u64> {
    Some(take(rest, size)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn length(rest: &mut &[u8], size: usize) -> Option<usize> {
    usize::try_from(number(rest, size)?).ok()
}

fn value(rest: &mut &[u8]) -> Option<Value> {
    let head = take(rest, 1)?[0];
    Some(match head {
        0x00..=0x7f => Value::Unsigned(u64::from(head)),
        0x80..=0x8f => map(rest, usize::from(head & 15))?,
        0x90..=0x9f => array(rest, usize::from(head & 15))?,
        0xa0..=0xbf => Value::Text(take(rest, usize::from(head & 31))?.to_vec()),
        0xc0 => Value::Nil,
        0xc1 => return None,
        0xc2 => Value::Bool(false),
        0xc3 => Value::Bool(true),
        0xc4..=0xc6 => {
            let length = length(rest, 1 << (head - 0xc4))?;
            Value::Binary(take(rest, length)?.to_vec())
        }
        0xc7..=0xc9 => {
            let length = length(rest, 1 << (head - 0xc7))?;
            extension(rest, length)?
        }
        0xca => {
            let bytes: [u8; 4] = take(rest, 4)?.try_into().ok()?;
            Value::Double(f64::from(f32::from_be_bytes(bytes)))
        }
        0xcb => Value::Double(f64::from_bits(number(rest, 8)?)),
        0xcc..=0xcf => Value::Unsigned(number(rest, 1 << (head - 0xcc))?),
        0xd0..=0xd3 => {
            let size = 1 << (head - 0xd0);
            let unused = 64 - 8 * u32::try_from(size).ok()?;
            Value::Signed((number(rest, size)? << unused).cast_signed() >> unused)
        }
        0xd4..=0xd8 => extension(rest, 1 << (head - 0xd4))?,
        0xd9..=0xdb => {
            let length = length(rest, 1 << (head - 0xd9))?;
            Value::Text(take(rest, length)?.to_vec())
        }
        0xdc | 0xdd => {
            let count = length(rest, 2 << (head - 0xdc))?;
            array(rest, count)?
        }
        0xde | 0xdf => {
            let count = length(rest, 2 << (head - 0xde))?;
            map(rest, count)?
        }
        0xe0..=0xff => Value::Signed(i64::from(head.cast_signed())),
    })
}

fn array(rest: &mut &[u8], count: usize) -> Option<Value> {
    (0..count).map(|_| value(rest)).collect::<Option<_>>().map(Value::Array)
}

fn map(rest: &mut &[u8], count: usize) -> Option<Value> {
    (0..count).map(|_| Some((value(rest)?, value(rest)?))).collect::<Option<_>>().map(Value::Map)
}

fn extension(rest: &mut &[u8], length: usize) -> Option<Value> {
    let kind = take(rest, 1)?[0].cast_signed();
    Some(Value::Extension(kind, take(rest, length)?.to_vec()))
}

/// A text of at most 64 KiB.
pub(super) fn text(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.push(0xda);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text[..usize::from(length)]);
}
