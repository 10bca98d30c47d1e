//! [`Compose`]: the services of `docker-compose.yml`, with the variables at their defaults.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{text, yaml};

/// What is in the file.
pub(super) struct Compose {
    /// By name.
    pub(super) services: Map<String, Value>,
    /// Volumes that the engine keeps.
    pub(super) volumes: Vec<String>,
    /// The default of each variable.
    pub(super) variables: BTreeMap<String, String>,
}

impl Compose {
    pub(super) fn read() -> Self {
        let mut file = yaml::read(&text("docker-compose.yml")).unwrap_or_else(|error| panic!("{error}"));
        let mut variables = BTreeMap::new();
        substitute(&mut file, &mut variables);
        let services = file["services"].as_object().expect("services").clone();
        let volumes = file["volumes"].as_object().expect("volumes").keys().cloned().collect();
        Self { services, volumes, variables }
    }

    /// Those that run our image, with their command.
    pub(super) fn ours(&self) -> impl Iterator<Item = (&str, &Value, Vec<&str>)> {
        let ours = self.services.iter().filter(|(_, service)| service.get("build").is_some());
        ours.map(|(name, service)| (&**name, service, strings(&service["command"])))
    }

    /// Those that run another image, and which.
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.services.iter().filter(|(_, service)| service.get("build").is_none());
        others.map(|(name, service)| (&**name, service["image"].as_str().expect("an image")))
    }
}

/// The words of a list.
pub(super) fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("{word} is no text"))).collect()
}

/// Puts the default where `${NAME:-default}` stands: no other form is needed, so no other is known.
fn substitute(value: &mut Value, variables: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            while let Some(at) = text.find('$') {
                let expression = text[at..].strip_prefix("${").and_then(|rest| rest.split_once('}'));
                let (name, default) = expression
                    .and_then(|(expression, _)| expression.split_once(":-"))
                    .unwrap_or_else(|| panic!("{text}: expected ${{NAME:-default}}"));
                let before = variables.insert(name.to_owned(), default.to_owned());
                assert!(before.is_none_or(|before| before == default), "{name} has two defaults");
                *text = text.replacen(&format!("${{{name}:-{default}}}"), default, 1);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, variables)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, variables)),
        _ => {}
    }
}
