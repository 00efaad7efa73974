//! The part of JSON Schema (draft 2020-12) that docs/src/ast-schema.json is written in. A word that is not part of it is
//! refused, so that nothing in the schema is passed over.

use serde_json::{Map, Value};

/// Why a document is not what a schema says, with the place in the document; `Ok` when it is.
///
/// # Errors
/// The first place that differs, or a word of the schema that is not known here.
pub fn validate(schema: &Value, document: &Value) -> Result<(), String> {
    Checker { root: schema }.check(schema, document, &mut String::from("$"))
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, place: &mut String) -> Result<(), String> {
        let words = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(words) => words,
            _ => return Err(format!("{place}: nothing may stand here")),
        };
        words.iter().try_for_each(|(word, rule)| self.word(words, word, rule, value, place))
    }

    fn word(
        &self,
        words: &Map<String, Value>,
        word: &str,
        rule: &Value,
        value: &Value,
        place: &mut String,
    ) -> Result<(), String> {
        let fault = |what: &str| Err(format!("{place}: {what}: {value}"));
        match word {
            "$schema" | "$defs" | "title" | "description" => Ok(()),
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#')).unwrap_or("?");
                let target = self.root.pointer(path).ok_or(format!("the schema has no {rule}"))?;
                self.check(target, value, place)
            }
            "type" => match (rule.as_str().unwrap_or(""), value) {
                ("object", Value::Object(_)) | ("array", Value::Array(_)) | ("string", Value::String(_)) => Ok(()),
                ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => Ok(()),
                ("integer", Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(()),
                (wanted, _) => fault(&format!("no {wanted}")),
            },
            "minimum" if value.as_f64() < rule.as_f64() => fault("too small"),
            "minItems" if value.as_array().map(|items| items.len() as u64) < rule.as_u64() => fault("too few"),
            "minimum" | "minItems" => Ok(()),
            "enum" if rule.as_array().is_some_and(|all| all.contains(value)) => Ok(()),
            "enum" => fault("no such word"),
            "required" => {
                let absent =
                    rule.as_array().into_iter().flatten().find(|key| value.get(key.as_str().unwrap_or("")).is_none());
                absent.map_or(Ok(()), |key| fault(&format!("no {key}")))
            }
            "properties" => self.each(rule, value, place),
            "additionalProperties" => {
                let known = words.get("properties").and_then(Value::as_object);
                let fields = value.as_object().into_iter().flatten();
                let more = fields.map(|(key, _)| key).find(|key| known.is_none_or(|known| !known.contains_key(*key)));
                more.map_or(Ok(()), |key| fault(&format!("what is `{key}`")))
            }
            "prefixItems" => {
                let rules = rule.as_array().into_iter().flatten();
                let items = value.as_array().into_iter().flatten();
                rules
                    .zip(items)
                    .enumerate()
                    .try_for_each(|(i, (rule, item))| self.inside(rule, item, &format!("[{i}]"), place))
            }
            "items" => {
                let first = words.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                let items = value.as_array().into_iter().flatten().enumerate().skip(first);
                let mut items = items;
                items.try_for_each(|(i, item)| self.inside(rule, item, &format!("[{i}]"), place))
            }
            "anyOf" | "oneOf" => {
                let all = rule.as_array().into_iter().flatten();
                let tried: Vec<Result<(), String>> = all.map(|rule| self.check(rule, value, place)).collect();
                let fitting = tried.iter().filter(|result| result.is_ok()).count();
                if fitting == 1 || word == "anyOf" && fitting > 1 {
                    return Ok(());
                }
                let faults = tried.into_iter().filter_map(Result::err);
                let deepest = faults.max_by_key(|fault| fault.split(": ").next().map_or(0, str::len));
                Err(deepest.unwrap_or_else(|| format!("{place}: {fitting} forms fit")))
            }
            other => Err(format!("the schema says `{other}`, which this reader does not know")),
        }
    }

    fn each(&self, rules: &Value, value: &Value, place: &mut String) -> Result<(), String> {
        let rules = rules.as_object().into_iter().flatten();
        let mut given = rules.filter_map(|(key, rule)| Some((key, rule, value.get(key)?)));
        given.try_for_each(|(key, rule, inner)| self.inside(rule, inner, &format!(".{key}"), place))
    }

    fn inside(&self, rule: &Value, value: &Value, step: &str, place: &mut String) -> Result<(), String> {
        let length = place.len();
        place.push_str(step);
        let result = self.check(rule, value, place);
        place.truncate(length);
        result
    }
}
