//! The gogoproto options of a field, and what they mean for its key in Go's JSON.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Value,
};

use super::CompileError;

/// The option extensions, found once in the descriptor pool.
pub(super) struct Extensions {
    nullable: ExtensionDescriptor,
    embed: ExtensionDescriptor,
    customtype: ExtensionDescriptor,
    customname: ExtensionDescriptor,
    jsontag: ExtensionDescriptor,
    casttype: ExtensionDescriptor,
    castkey: ExtensionDescriptor,
    castvalue: ExtensionDescriptor,
    stdtime: ExtensionDescriptor,
    stdduration: ExtensionDescriptor,
    wktpointer: ExtensionDescriptor,
    /// Not in all versions of gogo.
    castrepeated: Option<ExtensionDescriptor>,
}

/// The options of one field.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) nullable: bool,
    pub(super) embed: bool,
    pub(super) customtype: Option<String>,
    pub(super) customname: Option<String>,
    pub(super) jsontag: Option<String>,
    pub(super) casttype: Option<String>,
    pub(super) castkey: Option<String>,
    pub(super) castvalue: Option<String>,
    pub(super) stdtime: bool,
    pub(super) stdduration: bool,
    pub(super) wktpointer: bool,
    pub(super) castrepeated: Option<String>,
}

impl Extensions {
    pub(super) fn find(pool: &DescriptorPool) -> Result<Self, CompileError> {
        let find = |name: &str| {
            let name = format!("gogoproto.{name}");
            pool.get_extension_by_name(&name).ok_or(CompileError::NoOption { name })
        };
        Ok(Self {
            nullable: find("nullable")?,
            embed: find("embed")?,
            customtype: find("customtype")?,
            customname: find("customname")?,
            jsontag: find("jsontag")?,
            casttype: find("casttype")?,
            castkey: find("castkey")?,
            castvalue: find("castvalue")?,
            stdtime: find("stdtime")?,
            stdduration: find("stdduration")?,
            wktpointer: find("wktpointer")?,
            castrepeated: pool.get_extension_by_name("gogoproto.castrepeated"),
        })
    }

    pub(super) fn of(&self, field: &FieldDescriptor) -> Options {
        let options = field.options();
        let text = |extension: &ExtensionDescriptor| {
            options.has_extension(extension).then(|| match &*options.get_extension(extension) {
                Value::String(text) => text.clone(),
                _ => String::new(),
            })
        };
        let flag = |extension: &ExtensionDescriptor, default: bool| {
            if !options.has_extension(extension) {
                return default;
            }
            options.get_extension(extension).as_bool().unwrap_or(default)
        };
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Options {
            nullable: flag(&self.nullable, true),
            embed: flag(&self.embed, false),
            customtype: some(text(&self.customtype)),
            customname: some(text(&self.customname)),
            // An empty tag is not the same as none.
            jsontag: text(&self.jsontag),
            casttype: some(text(&self.casttype)),
            castkey: some(text(&self.castkey)),
            castvalue: some(text(&self.castvalue)),
            stdtime: flag(&self.stdtime, false),
            stdduration: flag(&self.stdduration, false),
            wktpointer: flag(&self.wktpointer, false),
            castrepeated: some(self.castrepeated.as_ref().and_then(text)),
        }
    }
}

/// Options of messages and enums, by their numbers, with the file's option for all of them: they
/// are not in every version of gogo, and a set that lacks their definition cannot use them.
#[derive(Clone, Copy)]
pub(super) struct TypeOption {
    own: u32,
    of_file: u32,
}

/// The Go type of the message is declared by the generator. Default: yes.
pub(super) const TYPEDECL: TypeOption = TypeOption { own: 64030, of_file: 63030 };
/// The same of an enum.
pub(super) const ENUMDECL: TypeOption = TypeOption { own: 62024, of_file: 63031 };
/// The message is a union of its fields. Default: no.
pub(super) const ONLYONE: TypeOption = TypeOption { own: 64009, of_file: 63009 };

impl TypeOption {
    /// What is set, by the type's own options or by those of its file.
    pub(super) fn of(self, own: &DynamicMessage, file: &FileDescriptor) -> Option<bool> {
        let set = |options: &DynamicMessage, number| {
            let mut extensions = options.extensions();
            extensions.find_map(|(e, value)| (e.number() == number).then(|| value.as_bool())?)
        };
        set(own, self.own).or_else(|| set(&file.options(), self.of_file))
    }
}

/// What a `json` struct tag says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JsonTag {
    /// `-`: never written.
    pub(super) hidden: bool,
    /// The key in the tag; `None` if it gives none, then the Go field's name is the key.
    pub(super) name: Option<String>,
    pub(super) omit_empty: bool,
    /// Options that change the form of the value.
    pub(super) unsupported: Option<&'static str>,
}

impl JsonTag {
    /// The tag that gogo's generator gives the field.
    pub(super) fn of(field: &FieldDescriptor, options: &Options) -> Self {
        if let Some(tag) = &options.jsontag {
            return Self::parse(tag);
        }
        let is_message = field.kind().as_message().is_some();
        let native_list = field.is_list() && !is_message && options.customtype.is_none();
        if !options.nullable && !native_list {
            return Self::parse(field.name());
        }
        Self::parse(&format!("{},omitempty", field.name()))
    }

    /// Reads a tag as Go's `encoding/json` does.
    fn parse(tag: &str) -> Self {
        if tag == "-" {
            return Self { hidden: true, name: None, omit_empty: false, unsupported: None };
        }
        let mut parts = tag.split(',');
        let name = parts.next().unwrap_or_default();
        let mut parsed = Self {
            hidden: false,
            name: is_valid_key(name).then(|| name.to_owned()),
            omit_empty: false,
            unsupported: None,
        };
        for option in parts {
            match option {
                "omitempty" => parsed.omit_empty = true,
                "omitzero" => parsed.unsupported = Some("jsontag option `omitzero`"),
                "string" => parsed.unsupported = Some("jsontag option `string`"),
                // Whatever else stands there does not count for Go, ` omitempty` included.
                _ => {}
            }
        }
        parsed
    }
}

/// Go ignores a key with other characters than these (`isValidTag`).
fn is_valid_key(key: &str) -> bool {
    let valid = |c: char| c.is_alphanumeric() || "!#$%&()*+-./:;<=>?@[]^_{|}~ ".contains(c);
    !key.is_empty() && key.chars().all(valid)
}

/// The Go name of a field or oneof: `foo_bar` becomes `FooBar`, as in protoc-gen-go.
pub(super) fn camel_case(name: &str) -> String {
    let mut out = String::new();
    let bytes = name.as_bytes();
    let mut index = 0;
    if bytes.first() == Some(&b'_') {
        // A leading underscore must become a capital letter for the name to be exported.
        out.push('X');
        index = 1;
    }
    while index < bytes.len() {
        let byte = bytes[index];
        index += 1;
        if byte == b'_' && bytes.get(index).is_some_and(u8::is_ascii_lowercase) {
            continue;
        }
        if byte.is_ascii_digit() {
            out.push(char::from(byte));
            continue;
        }
        out.push(char::from(byte.to_ascii_uppercase()));
        while bytes.get(index).is_some_and(u8::is_ascii_lowercase) {
            out.push(char::from(bytes[index]));
            index += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_go_reads_them() {
        let check = |tag: &str, name: Option<&str>, omit_empty| {
            let parsed = JsonTag::parse(tag);
            assert_eq!(parsed.name.as_deref(), name, "{tag}");
            assert_eq!(parsed.omit_empty, omit_empty, "{tag}");
            assert!(!parsed.hidden, "{tag}");
        };
        check("ei", Some("ei"), false);
        check("code,omitempty", Some("code"), true);
        check("access_list_name, omitempty", Some("access_list_name"), false);
        check(",omitempty", None, true);
        check("", None, false);
        check("-,", Some("-"), false);
        check("a\"b", None, false);
        assert!(JsonTag::parse("-").hidden);
        assert!(JsonTag::parse("a,string").unsupported.is_some());
        assert!(JsonTag::parse("a,omitzero").unsupported.is_some());
    }

    #[test]
    fn go_names() {
        let check = |name, expected: &str| assert_eq!(camel_case(name), expected);
        check("constraints", "Constraints");
        check("foo_bar", "FooBar");
        check("Foo_Bar", "Foo_Bar");
        check("aws_2fa", "Aws_2Fa");
        check("_hidden", "XHidden");
        check("RoleARN", "RoleARN");
    }
}
