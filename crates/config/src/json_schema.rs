//! The JSON Schema of the configuration, for editors: made from the schema's declarations.

use serde_json::{Map, Value, json};

use crate::schema::File;
use crate::setting::{Key, Presence, Shape, Table as _, TableShape};

/// The JSON Schema (draft 2020-12) of a configuration file.
pub fn json_schema() -> Value {
    let mut tables = Map::new();
    let file = File::shape();
    let mut schema = table(&file, &mut tables);
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!("evenkeel.toml"));
        object.insert("$defs".to_owned(), Value::Object(tables));
    }
    schema
}

fn table(table: &TableShape, tables: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for key in &table.keys {
        properties.insert(key.name.to_owned(), property(key, tables));
    }
    let required: Vec<&str> = table
        .keys
        .iter()
        .filter(|key| matches!(key.presence, Presence::Required))
        .map(|key| key.name)
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": table.about,
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(object) = schema.as_object_mut().filter(|_| !required.is_empty()) {
        object.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(key: &Key, tables: &mut Map<String, Value>) -> Value {
    let mut schema = shape(&key.shape, tables);
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), json!(key.about));
        if let Presence::Default(written) = &key.presence
            && let Some(default) = value(written)
        {
            object.insert("default".to_owned(), default);
        }
    }
    schema
}

/// A default as TOML text, as JSON.
fn value(written: &str) -> Option<Value> {
    let document: Map<String, Value> = toml::from_str(&format!("value = {written}")).ok()?;
    document.get("value").cloned()
}

fn shape(of: &Shape, tables: &mut Map<String, Value>) -> Value {
    match of {
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Text(format) => match format.pattern {
            Some(pattern) => json!({ "type": "string", "pattern": pattern }),
            None => json!({ "type": "string" }),
        },
        Shape::Words { words } => json!({ "enum": words }),
        Shape::Either(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(|of| shape(of, tables)).collect();
            json!({ "anyOf": shapes })
        }
        Shape::List(of) => json!({ "type": "array", "items": shape(of, tables) }),
        Shape::Named(of) => json!({ "type": "object", "additionalProperties": shape(of, tables) }),
        Shape::Table(shape) => {
            if !tables.contains_key(shape.name) {
                let schema = table(shape, tables);
                tables.insert(shape.name.to_owned(), schema);
            }
            json!({ "$ref": format!("#/$defs/{}", shape.name) })
        }
    }
}
