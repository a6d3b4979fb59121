//! Small schemas: what a table can express beyond the recorded ones, and what it refuses.

use std::sync::Arc;

use ev_core::{Flavour, Mode};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::*;
use crate::{Answer, Options, Scratch, Transcoder};

/// One `.proto` file in memory, and gogo's.
struct Memory(String);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "events.proto" => File::from_source(name, &self.0),
            "gogoproto/gogo.proto" => File::from_source(name, include_str!("gogo.proto")),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Compiles `messages`, among which `E` is the only event type.
fn schema(messages: &str) -> Result<Compiled, CompileError> {
    let source = format!(
        r#"syntax = "proto3";
        package events;
        import "gogoproto/gogo.proto";
        import "google/protobuf/struct.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        import "google/protobuf/duration.proto";
        message OneOf {{ oneof Event {{ E First = 1; }} }}
        {messages}"#
    );
    let mut resolver = ChainFileResolver::new();
    resolver.add(Memory(source));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file("events.proto").expect("a valid file");
    compile(&compiler.descriptor_pool(), &CompileOptions::new("1.0.0"))
}

/// The JSON of the event whose body is `body` (at most 127 bytes).
fn json(messages: &str, body: &[u8]) -> String {
    let compiled = schema(messages).expect("an expressible schema");
    let table = Table::parse(&compiled.table).expect("a table");
    let transcoder = Transcoder::new(Arc::new(table), Flavour::Go, Options::default());
    let mut event = vec![10, u8::try_from(body.len()).expect("a short body")];
    event.extend_from_slice(body);
    let mut out = Vec::new();
    let answer = transcoder.decode_one(&mut Scratch::new(), &event, Mode::Strict, &mut out);
    assert!(matches!(answer, Answer::Decoded(_)), "{answer:?}");
    String::from_utf8(out).expect("JSON is text")
}

fn refused(fields: &str, message: &str, field: &str, why: &str) {
    match schema(fields) {
        Err(CompileError::NeedsModule { message: m, field: f, reason }) => {
            assert_eq!((m.as_str(), f.as_str()), (message, field), "{reason}");
            assert!(reason.contains(why), "{reason}");
        }
        other => panic!("{fields}: {other:?}"),
    }
}

#[test]
fn a_real_oneof_is_an_object_with_one_member_or_null() {
    let schema = r#"
        message A { string x = 1 [(gogoproto.jsontag) = "x"]; }
        message B { uint32 n = 1; }
        message E {
            string front = 1 [(gogoproto.jsontag) = "front"];
            oneof constraints { A aws_console = 2; B other_kind = 3; }
            string back = 4 [(gogoproto.jsontag) = "back"];
        }"#;
    let check = |body: &[u8], expected: &str| assert_eq!(json(schema, body), expected);
    check(&[], r#"{"front":"","Constraints":null,"back":""}"#);
    check(&[34, 1, b'b'], r#"{"front":"","Constraints":null,"back":"b"}"#);
    check(&[18, 0], r#"{"front":"","Constraints":{"aws_console":{"x":""}},"back":""}"#);
    check(&[26, 2, 8, 5], r#"{"front":"","Constraints":{"other_kind":{"n":5}},"back":""}"#);
    // The last member replaces the others, also itself, without merging.
    let two = [26, 2, 8, 5, 18, 3, 10, 1, b'y'];
    check(&two, r#"{"front":"","Constraints":{"aws_console":{"x":"y"}},"back":""}"#);
    let same = [26, 2, 8, 5, 26, 0, 10, 1, b'f'];
    check(&same, r#"{"front":"f","Constraints":{"other_kind":{}},"back":""}"#);
}

#[test]
fn keys_follow_the_rules_of_go() {
    // No tag; no tag on a value; an empty tag; a large field number.
    let plain = r#"
        message I { string s = 1; }
        message E {
            string some_name = 1;
            I inner = 2 [(gogoproto.nullable) = false];
            string other_name = 3 [(gogoproto.jsontag) = ""];
            string renamed = 4 [(gogoproto.jsontag) = ",omitempty", (gogoproto.customname) = "ID"];
            string far = 536870911;
        }"#;
    assert_eq!(json(plain, &[]), r#"{"inner":{},"OtherName":""}"#);
    let far = [34, 1, b'x', 0xfa, 0xff, 0xff, 0xff, 0x0f, 1, b'y'];
    assert_eq!(json(plain, &far), r#"{"inner":{},"OtherName":"","ID":"x","far":"y"}"#);

    // The least nested of equal keys wins; two on one level drop each other; a tag wins there.
    let clash = r#"
        message A { string a = 1 [(gogoproto.jsontag) = "k"]; string t = 2 [(gogoproto.jsontag) = "Tagged"]; }
        message B { string b = 1 [(gogoproto.jsontag) = "k"]; string Tagged = 2 [(gogoproto.jsontag) = ""]; }
        message C { string c = 1 [(gogoproto.jsontag) = "won"]; }
        message E {
            A a = 1 [(gogoproto.nullable) = false, (gogoproto.embed) = true, (gogoproto.jsontag) = ""];
            B b = 2 [(gogoproto.nullable) = false, (gogoproto.embed) = true, (gogoproto.jsontag) = ""];
            C c = 3 [(gogoproto.nullable) = false, (gogoproto.embed) = true, (gogoproto.jsontag) = ""];
            string own = 4 [(gogoproto.jsontag) = "won"];
            A alone = 5;
        }"#;
    let body = [
        10, 6, 10, 1, b'1', 18, 1, b'2', 18, 6, 10, 1, b'3', 18, 1, b'4', 26, 3, 10, 1, b'5', 34,
        1, b'6', 42, 0,
    ];
    assert_eq!(json(clash, &body), r#"{"Tagged":"2","won":"6","alone":{"k":"","Tagged":""}}"#);
}

#[test]
fn a_nullable_embed_that_is_absent_has_no_members() {
    let schema = r#"
        message A { string a = 1 [(gogoproto.jsontag) = "a"]; }
        message E {
            A a = 1 [(gogoproto.embed) = true, (gogoproto.jsontag) = ""];
            string z = 2 [(gogoproto.jsontag) = "z"];
        }"#;
    assert_eq!(json(schema, &[]), r#"{"z":""}"#);
    assert_eq!(json(schema, &[10, 0]), r#"{"a":"","z":""}"#);
}

#[test]
fn what_a_table_cannot_express_is_refused_by_name() {
    let field = |text: &str, why: &str| {
        refused(&format!("message E {{ {text} }}"), "events.E", "f", why);
    };
    field("double f = 1;", "double");
    field("sint32 f = 1;", "sint32");
    field("fixed64 f = 1;", "fixed64");
    field("repeated int64 f = 1;", "a list of such values");
    field("repeated bytes f = 1;", "a list of such values");
    field("map<string, int64> f = 1;", "a map");
    field("map<int32, string> f = 1;", "a map");
    field("map<string, google.protobuf.Value> f = 1;", "a map");
    field("optional string f = 1;", "optional");
    field("google.protobuf.Struct f = 1;", "`google.protobuf.Struct`");
    field("google.protobuf.Timestamp f = 1;", "`google.protobuf.Timestamp`");
    field("google.protobuf.StringValue f = 1 [(gogoproto.wktpointer) = true];", "StringValue");
    field("google.protobuf.Duration f = 1 [(gogoproto.stdduration) = true];", "a duration");
    field("repeated google.protobuf.Timestamp f = 1 [(gogoproto.stdtime) = true];", "Timestamp");
    field("bytes f = 1 [(gogoproto.customtype) = \"U\"];", "the custom type `U`");
    field("oneof o { string f = 1; }", "a oneof");
    field("string f = 1 [(gogoproto.jsontag) = \"a,string\"];", "`string`");
    field("string f = 1 [(gogoproto.jsontag) = \"a<b\"];", "`a<b`");
    refused(
        "message E { R r = 1; } message R { R again = 1; }",
        "events.R",
        "again",
        "a recursive message",
    );
    // A fact that is no longer what it was.
    refused(
        "message Metadata { string Index = 1; } message E { Metadata m = 1; }",
        "events.Metadata",
        "Index",
        "a fact",
    );
}

#[test]
fn unknown_cast_types_are_noted() {
    let compiled = schema("message E { string f = 1 [(gogoproto.casttype) = \"Mode\"]; }");
    let notes = compiled.expect("an expressible schema").notes;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("`events.E.f` has the Go type `Mode`"), "{}", notes[0]);
}

#[test]
fn too_deep_a_schema_is_refused() {
    let mut messages = String::from("message E { M0 m = 1; } message M40 { string s = 1; }");
    for level in 0..40 {
        messages += &format!("message M{level} {{ M{} m = 1; }}", level + 1);
    }
    let error = schema(&messages).expect_err("40 levels");
    assert!(matches!(error, CompileError::Table { .. }), "{error}");
}
