//! An example of an event: one with everything set, through the decoder.

use std::sync::Arc;

use ev_core::{Flavour, Mode};
use ev_decode::{Answer, Options, Scratch, Transcoder};

use crate::kind::Kind;
use crate::schema::{Event, Field, Message, Schema, fact};
use crate::wire;

/// 2026-01-02T03:04:05.678Z.
const TIME: (u64, u64) = (1_767_323_045, 678_000_000);

impl Schema {
    /// The JSON that the decoder writes of an event of this type in which every field is set, of
    /// the members of a oneof the first, of lists and maps one element.
    pub fn example(&self, event: &Event, flavour: Flavour) -> String {
        let mut wire = Vec::new();
        wire::message(&mut wire, event.number, |out| self.fields(event, self.message(event), out));
        let transcoder = Transcoder::new(Arc::clone(&self.table), flavour, Options::default());
        let mut json = Vec::new();
        let answer = transcoder.decode_one(&mut Scratch::new(), &wire, Mode::Strict, &mut json);
        debug_assert!(matches!(answer, Answer::Decoded(_)), "{}: {answer:?}", event.name);
        String::from_utf8_lossy(&json).into_owned()
    }

    fn fields(&self, event: &Event, message: &Message, out: &mut Vec<u8>) {
        let mut oneof = None;
        for field in &message.fields {
            if field.hidden && field.fact != fact::PRINT_DATA {
                continue;
            }
            if field.oneof.is_some() && oneof == field.oneof {
                continue;
            }
            oneof.clone_from(&field.oneof);
            self.field(event, field, out);
        }
    }

    fn field(&self, event: &Event, field: &Field, out: &mut Vec<u8>) {
        let number = field.number;
        match field.kind {
            Kind::String => wire::bytes(out, number, text(event, field).as_bytes()),
            Kind::Bytes => wire::bytes(out, number, b"data"),
            Kind::Strings => wire::bytes(out, number, b"text"),
            Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                wire::number(out, number, 1);
            }
            Kind::EnumText => {
                let values = self.enums.get(field.sub).map(Vec::as_slice).unwrap_or_default();
                let value = values.iter().map(|(value, _)| *value).find(|value| *value > 0);
                wire::number(out, number, u64::from(value.unwrap_or(0).unsigned_abs()));
            }
            Kind::Embed | Kind::Message | Kind::Messages => {
                wire::message(out, number, |out| self.fields(event, self.sub(field), out));
            }
            Kind::Time => wire::message(out, number, |out| {
                wire::number(out, 1, TIME.0);
                wire::number(out, 2, TIME.1);
            }),
            Kind::MapString => wire::message(out, number, |out| {
                wire::bytes(out, 1, b"key");
                wire::bytes(out, 2, b"text");
            }),
            Kind::MapInt32 => wire::message(out, number, |out| {
                wire::bytes(out, 1, b"key");
                wire::number(out, 2, 1);
            }),
            // In both an entry is a message with the key, and the value's text inside one more.
            Kind::Struct => entry(out, number, 3),
            Kind::Traits => entry(out, number, 1),
            Kind::Uint32Value | Kind::Uint64Value => {
                wire::message(out, number, |out| wire::number(out, 1, 1));
            }
        }
    }
}

fn entry(out: &mut Vec<u8>, number: u32, value: u32) {
    wire::message(out, number, |out| {
        wire::message(out, 1, |out| {
            wire::bytes(out, 1, b"key");
            wire::message(out, 2, |out| wire::bytes(out, value, b"text"));
        });
    });
}

fn text<'a>(event: &'a Event, field: &Field) -> &'a str {
    match field.fact {
        fact::TYPE => event.types().first().copied().unwrap_or(&event.name),
        fact::UID => "5a3b1c0e-2f6d-4c8a-9b7e-0d1f2a3b4c5d",
        fact::SESSION => "9d8c7b6a-5f4e-4d3c-8b2a-1f0e9d8c7b6a",
        fact::USER => "alice@example.com",
        fact::LOGIN => "root",
        fact::CLUSTER => "teleport.example.com",
        _ => "text",
    }
}
