//! Small schemas: what a table can express beyond the recorded ones, and what it refuses.

use std::sync::Arc;

use ev_core::{Flavour, Mode};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::*;
use crate::{Answer, Options, Scratch, Transcoder};

/// `.proto` files in memory, and gogo's.
struct Memory(Vec<(&'static str, String)>);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "gogoproto/gogo.proto" {
            return File::from_source(name, include_str!("gogo.proto"));
        }
        match self.0.iter().find(|(own, _)| *own == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Compiles `messages`, among which `E` is the only event type.
fn schema(messages: &str) -> Result<Compiled, CompileError> {
    with_file("other.proto", r#"syntax = "proto3";"#, messages)
}

/// The same, with another file to take messages from.
fn with_file(name: &'static str, text: &str, messages: &str) -> Result<Compiled, CompileError> {
    let source = format!(
        r#"syntax = "proto3";
        package events;
        import "gogoproto/gogo.proto";
        import "google/protobuf/struct.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        import "google/protobuf/duration.proto";
        import "{name}";
        message OneOf {{ oneof Event {{ E First = 1; }} }}
        {messages}"#
    );
    let mut resolver = ChainFileResolver::new();
    resolver.add(Memory(vec![("events.proto", source), (name, text.to_owned())]));
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
    refused(
        "message E { A a = 1; } message A { repeated B list = 1; } message B { A back = 1; }",
        "events.B",
        "back",
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

/// Every scalar type of protobuf that no kind of the table has, alone, in lists and in maps.
#[test]
fn other_scalars_are_refused_wherever_they_stand() {
    let field = |text: &str, why: &str| {
        refused(&format!("message E {{ {text} }}"), "events.E", "f", why);
    };
    let known = ["bool", "bytes", "int32", "int64", "string", "uint32", "uint64"];
    let others =
        ["double", "float", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64"];
    for other in others {
        field(&format!("{other} f = 1;"), &format!("a value of kind {other}"));
        field(&format!("{other} f = 1 [(gogoproto.jsontag) = \"-\"];"), "a value of kind");
        field(&format!("repeated {other} f = 1;"), "a list of such values");
        field(&format!("repeated {other} f = 1 [packed = false];"), "a list of such values");
        field(&format!("optional {other} f = 1;"), "optional");
        field(&format!("oneof o {{ {other} f = 1; }}"), "kind");
        field(&format!("map<string, {other}> f = 1;"), "a map of kind string to kind");
    }
    for scalar in known {
        field(&format!("optional {scalar} f = 1;"), "optional");
        field(&format!("oneof o {{ {scalar} f = 1; }}"), "a oneof");
        if scalar != "string" {
            field(&format!("repeated {scalar} f = 1;"), "a list of such values");
        }
        if !["string", "int32"].contains(&scalar) {
            field(&format!("map<string, {scalar}> f = 1;"), "a map of kind string to kind");
        }
        if !["string", "bytes"].contains(&scalar) {
            field(&format!("map<{scalar}, string> f = 1;"), "a map of kind");
        }
    }
    let with = |more: &str, text: &str, why: &str| {
        refused(&format!("{more} message E {{ {text} }}"), "events.E", "f", why);
    };
    let an_enum = "enum N { Z = 0; }";
    with(an_enum, "repeated N f = 1;", "a list of such values");
    with(an_enum, "map<string, N> f = 1;", "a map of kind string to kind");
    with(an_enum, "oneof o { N f = 1; }", "a oneof");
    with(an_enum, "optional N f = 1;", "optional");
    with("message M {}", "map<string, M> f = 1;", "a map of kind string to kind");
    with("message M {}", "optional M f = 1;", "optional");
}

#[test]
fn types_of_google_and_of_go_are_refused_in_other_forms_than_known() {
    let field = |text: &str, why: &str| {
        refused(&format!("message E {{ {text} }}"), "events.E", "f", why);
    };
    for name in ["Value", "ListValue", "Duration", "BoolValue", "BytesValue", "DoubleValue"] {
        field(&format!("google.protobuf.{name} f = 1;"), name);
        field(&format!("repeated google.protobuf.{name} f = 1;"), name);
    }
    for (name, good) in [
        ("Timestamp", "(gogoproto.stdtime) = true"),
        ("Struct", "(gogoproto.casttype) = \"Struct\""),
        ("UInt32Value", "(gogoproto.wktpointer) = true"),
        ("UInt64Value", "(gogoproto.wktpointer) = true"),
    ] {
        let name = format!("google.protobuf.{name}");
        schema(&format!("message E {{ {name} f = 1 [{good}]; }}")).expect("the known form");
        field(&format!("{name} f = 1;"), &name);
        field(&format!("repeated {name} f = 1 [{good}];"), &name);
        field(&format!("optional {name} f = 1 [{good}];"), "optional");
        field(&format!("oneof o {{ {name} f = 1 [{good}]; }}"), "a oneof");
        let embed = "(gogoproto.embed) = true, (gogoproto.jsontag) = \"\"";
        field(&format!("{name} f = 1 [{good}, {embed}];"), "an embedded");
        if !name.ends_with("Timestamp") {
            field(&format!("{name} f = 1 [{good}, (gogoproto.nullable) = false];"), &name);
        }
    }
    let custom = "(gogoproto.customtype) = \"github.com/x.T\"";
    for text in ["string f = 1", "bytes f = 1", "repeated string f = 1", "int64 f = 1"] {
        field(&format!("{text} [{custom}];"), "the custom type `github.com/x.T`");
    }
    field(&format!("map<string, string> f = 1 [{custom}];"), "the custom type");
    let with = |more: &str, text: &str, why: &str| {
        refused(&format!("{more} message E {{ {text} }}"), "events.E", "f", why);
    };
    with("message M {}", &format!("M f = 1 [{custom}];"), "the custom type");
    with("message M {}", "repeated M f = 1 [(gogoproto.casttype) = \"T\"];", "the custom type `T`");
    with("message M { option (gogoproto.onlyone) = true; }", "M f = 1;", "onlyone");
}

#[test]
fn what_go_would_name_alike_is_settled_or_refused() {
    // A oneof's field has the oneof's name for a key, and takes part in the rule of equal keys.
    let members = "message M {} message X { string k = 1 [(gogoproto.jsontag) = \"Which\"]; }";
    refused(
        &format!(
            "{members} message E {{ oneof which {{ M f = 1; }} \
             string k = 2 [(gogoproto.jsontag) = \"Which\"]; }}"
        ),
        "events.E",
        "f",
        "a hidden member of a oneof",
    );
    let embeds = format!(
        "{members} message E {{ oneof which {{ M f = 1; }} \
         X x = 2 [(gogoproto.embed) = true, (gogoproto.nullable) = false, (gogoproto.jsontag) = \"\"]; }}"
    );
    assert_eq!(json(&embeds, &[18, 3, 10, 1, b'x']), r#"{"Which":null}"#);
}

#[test]
fn what_is_not_proto3_or_too_large_is_refused_by_name() {
    let many: String = (1..=1025).map(|n| format!("bool f{n} = {n};")).collect();
    refused(&format!("message E {{ M f = 1; }} message M {{ {many} }}"), "events.E", "f", "1024");
    let long = "x".repeat(256);
    refused(&format!("message E {{ bool {long} = 1; }}"), "events.E", &long, "255");
    let old = r#"syntax = "proto2";
        package old;
        message M { required string s = 1; optional int32 n = 2 [default = 7]; extensions 100 to 200; }
        message G { optional group Part = 1 { optional string s = 2; } }"#;
    let other = |text: &str| {
        let compiled = with_file("old.proto", old, &format!("message E {{ {text} }}"));
        let Err(CompileError::NeedsModule { message, field, reason }) = compiled else {
            panic!("{text}: {compiled:?}");
        };
        assert_eq!(
            (&*message, &*field, &*reason),
            ("events.E", "f", "a message that is not proto3")
        );
    };
    other("old.M f = 1;");
    other("old.G f = 1;");
    other("repeated old.M f = 1;");
    other("oneof o { old.M f = 1; }");
    other(r#"old.M f = 1 [(gogoproto.embed) = true, (gogoproto.jsontag) = ""];"#);
}

#[test]
fn unknown_go_types_are_noted() {
    let check = |messages: &str, notes: &[(&str, &str)]| {
        let compiled = schema(messages).expect("an expressible schema");
        assert_eq!(compiled.notes.len(), notes.len(), "{:?}", compiled.notes);
        for (note, (field, go_type)) in compiled.notes.iter().zip(notes) {
            let begin = format!("`events.{field}` has the Go type `{go_type}`");
            assert!(note.starts_with(&begin), "{note}");
        }
    };
    check(
        r#"message E {
            string f = 1 [(gogoproto.casttype) = "Mode"];
            repeated string list = 2 [(gogoproto.casttype) = "Mode"];
            repeated string whole = 3 [(gogoproto.castrepeated) = "Modes"];
            map<string, string> map = 4 [(gogoproto.castkey) = "Key", (gogoproto.castvalue) = "Mode"];
            string known = 5 [(gogoproto.casttype) = "github.com/gravitational/teleport/api/types.JoinMethod"];
        }"#,
        &[
            ("E.f", "Mode"),
            ("E.list", "Mode"),
            ("E.map", "Key"),
            ("E.map", "Mode"),
            ("E.whole", "Modes"),
        ],
    );
    check(
        r#"enum N { option (gogoproto.enumdecl) = false; Z = 0; }
        message M { option (gogoproto.typedecl) = false; string s = 1; }
        message E { N n = 1; M m = 2; repeated M list = 3; }"#,
        &[
            ("E.list", "M, written by hand"),
            ("E.m", "M, written by hand"),
            ("E.n", "N, written by hand"),
        ],
    );
}

#[test]
fn too_deep_a_schema_is_refused() {
    let mut messages = String::from("message E { M0 m = 1; } message M40 { string s = 1; }");
    for level in 0..40 {
        messages += &format!("message M{level} {{ M{} m = 1; }}", level + 1);
    }
    // `E` is the first level, the event holder is one as well.
    refused(&messages, "events.M28", "m", "more than 32 levels");
}
