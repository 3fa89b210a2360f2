//! The JSON schema of configurations, for editors: made of the keys that the reader asks for.

use serde_json::{Map, Value, json};

use super::keys::{self, Empty, Key, Keys, Shape};

/// The dialect that editors for TOML know best.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// Returns the schema.
pub(crate) fn schema() -> Value {
    let mut root = table(&keys::ROOT);
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!(DIALECT));
        root.insert("title".to_owned(), json!("amanda-fw.toml"));
    }
    root
}

fn table(keys: &Keys) -> Value {
    let properties: Map<String, Value> =
        keys.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.keys.iter().filter(|key| key.required).map(|k| k.name).collect();
    let mut table = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(table) = table.as_object_mut().filter(|_| !required.is_empty()) {
        table.insert("required".to_owned(), json!(required));
    }
    table
}

fn property(key: &Key) -> Value {
    let mut property = shape(key.shape);
    if let Some(property) = property.as_object_mut() {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!(" Without it: {}.", key.default)
        };
        property.insert("description".to_owned(), json!(format!("{}{default}", key.about)));
    }
    property
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Number(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Shape::Word(pattern) => json!({ "type": "string", "pattern": pattern }),
        Shape::Suggested(names, pattern) => {
            json!({ "anyOf": [{ "enum": names() }, { "type": "string", "pattern": pattern }] })
        }
        Shape::Choice(names) => json!({ "enum": names() }),
        Shape::Either(shapes) => any_of(shapes.iter().map(|&one| self::shape(one)).collect()),
        Shape::Many(one, empty) => {
            let one = self::shape(*one);
            let least = u8::from(empty == Empty::Refused);
            let list = json!({ "type": "array", "items": one.clone(), "minItems": least });
            any_of(vec![one, list])
        }
        Shape::Table(keys) => table(keys),
        Shape::Named(one) => {
            json!({ "type": "object", "additionalProperties": self::shape(*one) })
        }
        Shape::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
    }
}

fn any_of(shapes: Vec<Value>) -> Value {
    json!({ "anyOf": shapes })
}
