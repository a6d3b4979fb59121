//! The schema compiler on the recorded schemas.

use ev_core::{Flavour, Mode};
use ev_decode::{
    CompileOptions, DuplicateKeys, Options, Table, Transcoder, compile_descriptor_set, compile_path,
};

use crate::data::{decode, testdata, vectors};

fn options(table: &Table, label: &str) -> CompileOptions {
    let mut options = CompileOptions::new(table.auth_version().as_str());
    if label == "v15dev" {
        options.duplicate_keys = DuplicateKeys::Cut;
    }
    options
}

#[test]
fn embedded_tables_are_what_their_schemas_compile_to() {
    for embedded in ev_decode::embedded() {
        let options = options(&embedded.table, embedded.label);
        let set = testdata(&format!("schema/{}/events.binpb.gz", embedded.label));
        let compiled = compile_path(&set, &options).expect("a recorded schema");
        assert!(compiled.table == embedded.bytes, "{}", embedded.label);
        assert_eq!(compiled.notes, Vec::<String>::new());
        let tree = testdata(&format!("../proto/teleport/{}", embedded.label));
        let compiled = compile_path(&tree, &options).expect("a recorded schema");
        assert!(compiled.table == embedded.bytes, "{} from its tree", embedded.label);
    }
}

#[test]
fn the_digest_is_that_of_the_schema_alone() {
    let embedded = ev_decode::embedded().remove(2);
    let set = std::fs::read(testdata("schema/v18dev/events.binpb.gz")).expect("a recorded schema");
    let digest = |options: &CompileOptions| {
        let compiled = compile_descriptor_set(&set, options).expect("a recorded schema");
        Table::parse(&compiled.table).expect("a compiled table").schema_sha256()
    };
    let mut options = CompileOptions::new("18.9.9");
    options.names = false;
    assert_eq!(digest(&options), embedded.table.schema_sha256());
    options.duplicate_keys = DuplicateKeys::Cut;
    assert_ne!(digest(&options), embedded.table.schema_sha256());
}

#[test]
fn without_names_a_path_is_made_of_numbers() {
    let set = std::fs::read(testdata("schema/v18dev/events.binpb.gz")).expect("a recorded schema");
    let mut options = CompileOptions::new("18.0.0-dev");
    options.names = false;
    let compiled = compile_descriptor_set(&set, &options).expect("a recorded schema");
    let embedded = ev_decode::embedded().remove(2);
    assert!(compiled.table.len() < embedded.bytes.len());
    assert!(*ev_decode::without_names(embedded.bytes) == *compiled.table);
    assert!(*ev_decode::without_names(&compiled.table) == *compiled.table);
    assert_eq!(*ev_decode::without_names(b"no table"), *b"no table");
    let table = Table::parse(&compiled.table).expect("a compiled table");
    let nameless = Transcoder::new(table.into(), Flavour::Go, Options::default());
    let mut seen = 0;
    for vector in vectors("v18dev") {
        let event = vector.event();
        if let (ev_decode::Answer::Unknown { at, .. }, _) = decode(&nameless, &event, Mode::Strict)
        {
            let path = nameless.path(&event, at);
            let recorded = vector.text("unknown_wire_path").expect("an unknown event");
            let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
            assert_eq!(last(&path), last(recorded));
            assert_eq!(path.split('.').count(), recorded.split('.').count());
            assert!(path.split('.').all(|part| part.parse::<u32>().is_ok()), "{path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 66);
}

#[test]
fn what_is_no_schema_is_refused() {
    let options = CompileOptions::new("1");
    assert!(compile_descriptor_set(b"no descriptors", &options).is_err());
    assert!(compile_descriptor_set(&[0x1f, 0x8b, 0], &options).is_err());
    assert!(compile_descriptor_set(&[], &options).is_err());
    assert!(compile_path(&testdata("golden"), &options).is_err());
    assert!(compile_path(&testdata("absent"), &options).is_err());
}

/// A tree of the newest schema with something newer in it, laid out as a checkout has it.
#[test]
fn a_newer_tree_compiles_and_tells_what_it_does_not_know() {
    let tree = std::env::temp_dir().join(format!("ev-newer-tree-{}", std::process::id()));
    let to = tree.join("api/proto");
    copy(&testdata("../proto/teleport/v18dev/teleport"), &to.join("teleport"));
    let events = to.join("teleport/legacy/types/events/events.proto");
    let text = std::fs::read_to_string(&events).expect("a copied file");
    let newer = text.replacen("oneof Event {", "oneof Event {\n    Newer Newer = 4000;", 1);
    assert!(newer != text, "the event holder was found");
    let newer = newer
        + r#"
        message Newer {
          Metadata Metadata = 1 [(gogoproto.nullable) = false, (gogoproto.embed) = true, (gogoproto.jsontag) = ""];
          string mode = 2 [(gogoproto.casttype) = "github.com/gravitational/teleport/api/types.NewMode", (gogoproto.jsontag) = "mode"];
        }"#;
    std::fs::write(&events, newer).expect("a copied file");
    let compiled = compile_path(&tree, &CompileOptions::new("19.0.0"));
    std::fs::remove_dir_all(&tree).expect("our own folder");
    let compiled = compiled.expect("an expressible schema");
    let [note] = &compiled.notes[..] else { panic!("{:?}", compiled.notes) };
    let begin = "`events.Newer.mode` has the Go type \
                 `github.com/gravitational/teleport/api/types.NewMode`";
    assert!(note.starts_with(begin), "{note}");

    let table = Table::parse(&compiled.table).expect("a compiled table");
    let transcoder = Transcoder::new(table.into(), Flavour::Go, Options::default());
    // 4000 { 1 { 2: "new.thing" }, 2: "m" }
    let event = b"\x82\xfa\x01\x10\x0a\x0b\x12\x09new.thing\x12\x01m";
    let (answer, json) = decode(&transcoder, event, Mode::Strict);
    assert!(matches!(answer, ev_decode::Answer::Decoded(_)), "{answer:?}");
    let expected = br#"{"ei":0,"event":"new.thing","time":"0001-01-01T00:00:00Z","mode":"m"}"#;
    assert_eq!(json, expected);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}
