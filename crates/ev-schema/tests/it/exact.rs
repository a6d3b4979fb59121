//! A small validator that compares numbers exactly, where others compare doubles.
//!
//! It knows the keywords of our schemas and no others. What texts may be is left to the validator
//! that knows all of it.

use std::cmp::Ordering;

use crate::text::{Json, Number};

/// Says where a value is not as its schema says.
pub(crate) fn check(schema: &Json, value: &Json) -> Result<(), String> {
    let Json::Object(keywords) = schema else {
        return match schema {
            Json::True => Ok(()),
            _ => Err(format!("{value:?} is not to be there")),
        };
    };
    for (keyword, rule) in keywords {
        let told = match keyword.as_str() {
            "type" => kind(rule, value),
            "properties" => properties(schema, value),
            "required" => required(rule, value),
            // Looked at with the properties.
            "additionalProperties" => match schema.member("properties") {
                Some(_) => Ok(()),
                None => properties(schema, value),
            },
            "items" => value.items().iter().try_for_each(|item| check(rule, item)),
            "minimum" => bound(rule, value, Ordering::Less),
            "maximum" => bound(rule, value, Ordering::Greater),
            "enum" => match rule.items().contains(value) {
                true => Ok(()),
                false => Err(format!("{value:?} is none of {rule:?}")),
            },
            "const" if rule == value => Ok(()),
            "const" => Err(format!("{value:?} is not {rule:?}")),
            "anyOf" | "oneOf" => {
                let fitting = rule.items().iter().filter(|way| check(way, value).is_ok()).count();
                match fitting == 1 || fitting > 1 && keyword == "anyOf" {
                    true => Ok(()),
                    false => Err(format!("{value:?} fits {fitting} of {rule:?}")),
                }
            }
            "$id" | "$schema" | "title" | "description" | "examples" | "format" | "pattern"
            | "contentEncoding" => Ok(()),
            other => panic!("the keyword `{other}` is not known here"),
        };
        told.map_err(|error| format!("{keyword}: {error}"))?;
    }
    Ok(())
}

fn kind(rule: &Json, value: &Json) -> Result<(), String> {
    let is_of = |kind: &Json| match (kind, value) {
        (Json::String(kind), value) => match (kind.as_str(), value) {
            ("integer", Json::Number(number)) => number.is_whole(),
            ("number", Json::Number(_))
            | ("string", Json::String(_))
            | ("boolean", Json::True | Json::False)
            | ("null", Json::Null)
            | ("array", Json::Array(_))
            | ("object", Json::Object(_)) => true,
            _ => false,
        },
        _ => panic!("{kind:?} is no type"),
    };
    let fits = match rule {
        Json::Array(kinds) => kinds.iter().any(is_of),
        one => is_of(one),
    };
    if fits { Ok(()) } else { Err(format!("{value:?} is no {rule:?}")) }
}

fn properties(schema: &Json, value: &Json) -> Result<(), String> {
    let Json::Object(members) = value else { return Ok(()) };
    let rest = schema.member("additionalProperties");
    for (key, member) in members {
        let known = schema.member("properties").and_then(|properties| properties.member(key));
        let Some(rule) = known.or(rest) else { continue };
        check(rule, member).map_err(|error| format!("`{key}`: {error}"))?;
    }
    Ok(())
}

fn required(keys: &Json, value: &Json) -> Result<(), String> {
    let Json::Object(_) = value else { return Ok(()) };
    for key in keys.items() {
        let Json::String(key) = key else { panic!("{key:?} is no key") };
        value.member(key).ok_or_else(|| format!("`{key}` is missing"))?;
    }
    Ok(())
}

/// The value must not lie on that side of the bound.
fn bound(bound: &Json, value: &Json, side: Ordering) -> Result<(), String> {
    let (Json::Number(bound), Json::Number(value)) = (bound, value) else { return Ok(()) };
    if value.cmp(bound) == side {
        return Err(format!("{value} is beyond {bound}"));
    }
    Ok(())
}

/// A validator that takes everything would pass the other tests.
#[test]
fn what_is_beyond_a_bound_is_seen() {
    let schema = r#"{"type": "object", "properties": {"n": {"type": ["integer", "null"],
        "minimum": -9223372036854776000, "maximum": 18446744073709552000}},
        "required": ["n"], "additionalProperties": false}"#;
    let schema = Json::read(schema);
    let takes = |value: &str| check(&schema, &Json::read(value)).is_ok();
    for good in ["18446744073709552000", "-9223372036854776000", "1.8446744073709552e+19", "null"] {
        assert!(takes(&format!(r#"{{"n": {good}}}"#)), "{good}");
    }
    for bad in ["18446744073709552001", "-9223372036854776001", "1.5", "1e21", "\"1\"", "{}"] {
        assert!(!takes(&format!(r#"{{"n": {bad}}}"#)), "{bad}");
    }
    assert!(!takes("{}") && !takes(r#"{"n": 1, "m": 1}"#) && !takes("[]"));
}

#[test]
fn numbers_are_compared_digit_for_digit() {
    let number = |text: &str| Number::read(text);
    let ascending = [
        "-18446744073709552000",
        "-1.8446744073709552e+19",
        "-9223372036854775809",
        "-1e-7",
        "0",
        "1e-7",
        "0.1",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709552000",
        "1e21",
        "1000000000000000000001",
    ];
    for pair in ascending.windows(2) {
        assert_eq!(number(pair[0]).cmp(&number(pair[1])), Ordering::Less, "{pair:?}");
        assert_eq!(number(pair[1]).cmp(&number(pair[0])), Ordering::Greater, "{pair:?}");
    }
    for (one, same) in [
        ("0", "-0.0e5"),
        ("100", "1e2"),
        ("1.50", "15e-1"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("9007199254740992.0", "9007199254740993.0"),
    ] {
        assert_eq!(number(one), number(same));
    }
    assert!(number("1.0e1").is_whole() && !number("10.5").is_whole());
}
