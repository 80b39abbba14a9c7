//! The first field in which two configurations differ.

use serde::Serialize;
use serde_json::{Map, Value};

/// The dotted name of the first field that differs, with its two values. Fields in `may_change` are ignored.
pub(crate) fn first_difference<T: Serialize>(
    was: &T,
    is: &T,
    may_change: &[&str],
) -> Option<(String, String, String)> {
    let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
    of_values("", &value(was), &value(is), may_change)
}

fn of_values(key: &str, was: &Value, is: &Value, may_change: &[&str]) -> Option<(String, String, String)> {
    if was == is || may_change.contains(&key) {
        return None;
    }
    let empty = Map::new();
    if let (Value::Object(_), _) | (_, Value::Object(_)) = (was, is) {
        let (was, is) = (was.as_object().unwrap_or(&empty), is.as_object().unwrap_or(&empty));
        let mut keys: Vec<&String> =
            was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))).collect();
        // Compares `kind` first: models of different kinds have different fields.
        keys.sort_by_key(|key| *key != "kind");
        return keys.into_iter().find_map(|name| {
            let dotted = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
            of_values(&dotted, &of(was), &of(is), may_change)
        });
    }
    let shown = |value: &Value| match value.as_f64().filter(|_| value.is_f64()) {
        _ if value.is_null() => "not set".to_owned(),
        // A field of type f32 as it was written: 0.1, not 0.10000000149011612.
        Some(number) if f64::from(number as f32) == number => (number as f32).to_string(),
        _ => value.to_string(),
    };
    Some((key.to_owned(), shown(was), shown(is)))
}
