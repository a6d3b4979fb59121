//! A slow path: `prost`'s own reader, a tree, and JSON printed of it.

use std::fmt::Write as _;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EventUnstructured {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) time: Option<prost_types::Timestamp>,
    #[prost(int64, tag = "4")]
    pub(crate) index: i64,
    #[prost(message, optional, tag = "5")]
    pub(crate) unstructured: Option<Struct>,
}

/// The JSON, or `None` when there is a value that JSON has no form for.
pub(crate) fn json(of: &Struct) -> Option<String> {
    let mut out = String::new();
    object(&mut out, of)?;
    Some(out)
}

fn object(out: &mut String, of: &Struct) -> Option<()> {
    out.push('{');
    // A map of prost's is in the order of its keys.
    for (n, (key, value)) in of.fields.iter().enumerate() {
        out.push_str(if n == 0 { "" } else { "," });
        out.push_str(&serde_json::to_string(key).expect("a text"));
        out.push(':');
        print(out, value)?;
    }
    out.push('}');
    Some(())
}

fn print(out: &mut String, value: &Value) -> Option<()> {
    match value.kind.as_ref()? {
        Kind::NullValue(_) => out.push_str("null"),
        Kind::BoolValue(flag) => write!(out, "{flag}").expect("a string takes all"),
        Kind::StringValue(text) => out.push_str(&serde_json::to_string(text).expect("a text")),
        Kind::NumberValue(number) => out.push_str(&shortest(*number)?),
        Kind::StructValue(inner) => object(out, inner)?,
        Kind::ListValue(list) => {
            out.push('[');
            for (n, value) in list.values.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                print(out, value)?;
            }
            out.push(']');
        }
    }
    Some(())
}

/// The digits of another library, laid out anew. `None` if it is not finite.
fn shortest(number: f64) -> Option<String> {
    let text = serde_json::Number::from_f64(number)?.to_string();
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.trim_start_matches('+').parse().expect("a number");
    // 0.digits times ten to the power of `point`.
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let digits = digits.trim_matches('0');
    let place = |len: usize| i32::try_from(len).expect("few");
    let point = place(whole.len()) - place(leading) + exponent;
    if digits.is_empty() {
        return Some(format!("{sign}0"));
    }
    let many = |count: i32| "0".repeat(usize::try_from(count).expect("not negative"));
    let laid_out = if !(1e-6..1e21).contains(&number.abs()) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        format!("{first}{rest}e{:+}", point - 1)
    } else if point <= 0 {
        format!("0.{}{digits}", many(-point))
    } else if place(digits.len()) <= point {
        format!("{digits}{}", many(point - place(digits.len())))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).expect("positive"));
        format!("{whole}.{fraction}")
    };
    Some(format!("{sign}{laid_out}"))
}
