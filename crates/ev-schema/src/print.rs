//! JSON with numbers in the digits that events have.

use std::io::{self, Write};

use ev_core::JsonDouble;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Writes a value as JSON with indentation and a line feed at its end, doubles in the digits in
/// which the decoder writes them.
///
/// The bounds of a [JSON Schema](crate::Schema::json_schema) of the `struct` flavour need that:
/// `18446744073709552000` stands for a double that is 384 less, and a validator that compares exactly
/// would take what another printer makes of that double for a smaller bound.
///
/// # Errors
///
/// What the writer answers; it is an error of the same kind.
pub fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let digits = Digits(PrettyFormatter::new());
    value.serialize(&mut Serializer::with_formatter(&mut *out, digits))?;
    out.write_all(b"\n")
}

/// Indents as usual; only doubles are its own.
struct Digits(PrettyFormatter<'static>);

impl Formatter for Digits {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(JsonDouble::of(value).as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn printed(value: &Value) -> String {
        let mut text = Vec::new();
        write_json(value, &mut text).expect("memory takes all");
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    #[test]
    fn doubles_have_the_digits_of_events() {
        let value =
            json!({ "a": [18_446_744_073_709_552_000.0, -9_223_372_036_854_776_000.0, 1.5] });
        let text = "{\n  \"a\": [\n    18446744073709552000,\n    -9223372036854776000,\n    1.5\n  ]\n}\n";
        assert_eq!(printed(&value), text);
    }

    #[test]
    fn all_else_is_as_usual() {
        let value = json!({
            "empty": [{}, []],
            "list": [null, true, u64::MAX, i64::MIN, "\u{1}\"ä", { "b": { "c": [1, [2]] } }],
        });
        let usual = serde_json::to_string_pretty(&value).expect("a value is printed");
        assert_eq!(printed(&value), usual + "\n");
    }

    #[test]
    fn an_error_of_the_writer_stays_of_its_kind() {
        let broken = write_json(&json!({ "a": [1] }), &mut &mut [0_u8; 4][..]);
        assert_eq!(broken.expect_err("it does not fit").kind(), io::ErrorKind::WriteZero);
    }
}
