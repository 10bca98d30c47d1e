//! Tables with known keys: one declaration gives the struct, its reader, its manual and its schema.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;
use crate::later;
use crate::setting::{Reader, Setting, Shape, Table, TableShape, Value, nearest, ticked};

/// Declares tables. Each key says in its first word what its absence means:
///
/// - `required key: Type;` is an error when absent (`Option<Spanned<Type>>`, `None` is reported already),
/// - `default key: Type = value;` has a default (`Spanned<Type>`),
/// - `optional key: Type = "what happens then";` (`Option<Spanned<Type>>`),
/// - `choice key: Type = "what happens then";` tells a bad value from an absent one
///   (`Option<Spanned<Option<Type>>>`),
/// - `table key: Type;` is a table of keys that all have defaults (`Type`).
///
/// `- "key" = "feature";` at the end refuses the key: the feature is not there yet.
macro_rules! tables {
    ($(
        $(#[doc = $about:literal])*
        $name:ident {
            $( $(#[doc = $doc:literal])* $kind:ident $field:ident : $ty:ty $(= $value:expr)?; )*
            $( - $later:literal = $feature:literal; )*
        }
    )*) => { $(
        $(#[doc = $about])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])* pub(crate) $field: $crate::table::field_type!($kind $ty), )*
        }

        impl $crate::setting::Table for $name {
            fn shape() -> $crate::setting::TableShape {
                $crate::setting::TableShape {
                    name: stringify!($name),
                    about: [$($about),*].map(str::trim).join("\n"),
                    keys: vec![$( $crate::setting::Key {
                        name: $crate::table::key_name(stringify!($field)),
                        about: [$($doc),*].map(str::trim).join(" "),
                        shape: <$ty as $crate::setting::Setting>::shape(),
                        presence: $crate::table::field_presence!($kind $ty $(= $value)?),
                    } ),*],
                    later: &[$(($later, $feature)),*],
                }
            }

            fn read_keys(
                table: &toml::de::DeTable<'_>,
                at: std::ops::Range<usize>,
                reader: &mut $crate::setting::Reader,
            ) -> Self {
                let _ = &at; // Tables without required keys point nowhere.
                let shape = <Self as $crate::setting::Table>::shape();
                let table = $crate::table::Entries::check(table, &shape, reader);
                Self { $( $field: $crate::table::field_read!(
                    $kind $ty $(= $value)?, &table, &at, $crate::table::key_name(stringify!($field)), reader
                ), )* }
            }
        }

        impl $crate::setting::Setting for $name {
            fn shape() -> $crate::setting::Shape {
                $crate::setting::Shape::Table(<Self as $crate::setting::Table>::shape())
            }

            fn read(value: &$crate::setting::Value<'_>, reader: &mut $crate::setting::Reader) -> Option<Self> {
                $crate::table::read_table(value, reader)
            }
        }
    )* };
}

macro_rules! field_type {
    (required $ty:ty) => { Option<toml::Spanned<$ty>> };
    (optional $ty:ty) => { Option<toml::Spanned<$ty>> };
    (choice $ty:ty) => { Option<toml::Spanned<Option<$ty>>> };
    (default $ty:ty) => { toml::Spanned<$ty> };
    (table $ty:ty) => { $ty };
}

macro_rules! field_presence {
    (required $ty:ty) => {
        $crate::setting::Presence::Required
    };
    (optional $ty:ty = $value:expr) => {
        $crate::setting::Presence::Optional($value)
    };
    (choice $ty:ty = $value:expr) => {
        $crate::setting::Presence::Optional($value)
    };
    (default $ty:ty = $value:expr) => {{
        let value: $ty = $value;
        $crate::setting::Presence::Default($crate::setting::Setting::show(&value))
    }};
    (table $ty:ty) => {
        $crate::setting::Presence::Table
    };
}

macro_rules! field_read {
    (required $ty:ty, $table:expr, $at:expr, $key:expr, $reader:expr) => {
        $crate::table::required::<$ty>($table, $at, $key, $reader)
    };
    (optional $ty:ty = $value:expr, $table:expr, $at:expr, $key:expr, $reader:expr) => {
        $crate::table::optional::<$ty>($table, $key, $reader)
    };
    (choice $ty:ty = $value:expr, $table:expr, $at:expr, $key:expr, $reader:expr) => {
        $crate::table::choice::<$ty>($table, $key, $reader)
    };
    (default $ty:ty = $value:expr, $table:expr, $at:expr, $key:expr, $reader:expr) => {
        $crate::table::or_default::<$ty>($table, $key, $reader, $value)
    };
    (table $ty:ty, $table:expr, $at:expr, $key:expr, $reader:expr) => {
        $crate::table::nested::<$ty>($table, $at, $key, $reader)
    };
}

pub(crate) use {field_presence, field_read, field_type, tables};

/// The key as it is written: fields that are Rust keywords are raw.
pub(crate) fn key_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

pub(crate) fn choice<T: Setting>(
    table: &Entries<'_>,
    key: &str,
    reader: &mut Reader,
) -> Option<Spanned<Option<T>>> {
    let value = table.get(key)?;
    Some(Spanned::new(value.span(), reader.within(key, |reader| T::read(value, reader))))
}

pub(crate) fn optional<T: Setting>(
    table: &Entries<'_>,
    key: &str,
    reader: &mut Reader,
) -> Option<Spanned<T>> {
    let value = table.get(key)?;
    reader.within(key, |reader| T::read(value, reader)).map(|read| Spanned::new(value.span(), read))
}

pub(crate) fn required<T: Setting>(
    table: &Entries<'_>,
    at: &Range<usize>,
    key: &str,
    reader: &mut Reader,
) -> Option<Spanned<T>> {
    if table.get(key).is_none() {
        let place = reader.table();
        let example = T::shape().example().unwrap_or_else(|| "…".to_owned());
        reader
            .problems
            .error(codes::MISSING_KEY, at.clone(), format!("{place} has no `{key}`"))
            .help(format!("add it, such as {key} = {example}"));
    }
    optional(table, key, reader)
}

pub(crate) fn or_default<T: Setting>(
    table: &Entries<'_>,
    key: &str,
    reader: &mut Reader,
    default: T,
) -> Spanned<T> {
    optional(table, key, reader).unwrap_or_else(|| Spanned::new(0..0, default))
}

pub(crate) fn nested<T: Table + Setting>(
    table: &Entries<'_>,
    at: &Range<usize>,
    key: &str,
    reader: &mut Reader,
) -> T {
    let read = optional(table, key, reader).map(Spanned::into_inner);
    read.unwrap_or_else(|| T::read_keys(&DeTable::new(), at.clone(), reader))
}

pub(crate) fn read_table<T: Table>(value: &Value<'_>, reader: &mut Reader) -> Option<T> {
    match value.get_ref() {
        DeValue::Table(table) => Some(T::read_keys(table, value.span(), reader)),
        _ => {
            let keys = T::shape();
            let keys = ticked(keys.keys.iter().map(|key| key.name));
            reader.wrong_type(value, "a table").help(format!("its keys are {keys}"));
            None
        }
    }
}

/// What stands in a table: by its keys, and by slips of the pen that can only mean one of them.
pub(crate) struct Entries<'t> {
    table: &'t DeTable<'t>,
    meant: Vec<(&'static str, &'t str)>,
}

impl<'t> Entries<'t> {
    /// Reports the keys that the table does not have.
    ///
    /// A slip is still read as what it must mean, so that what follows from it is not reported as well
    /// and what is wrong inside it is.
    pub(crate) fn check<'i>(table: &'t DeTable<'i>, shape: &TableShape, reader: &mut Reader) -> Self
    where
        'i: 't,
    {
        let mut entries = Self { table, meant: Vec::new() };
        for name in table.keys() {
            let key: &str = name.get_ref();
            if shape.keys.iter().any(|known| known.name == key) {
                continue;
            }
            if reader.problems.is_full() {
                break;
            }
            let standing = reader.standing();
            let own = shape.later.iter().find(|(later, _)| *later == key).map(|(_, feature)| *feature);
            if let Some(feature) = own.or_else(|| later::feature(key)) {
                let message = format!("`{key}`: {feature} not supported yet by this version");
                let help = "remove it; nothing is ignored silently";
                reader.problems.error(codes::NOT_YET, name.span(), message).label(standing).help(help);
                continue;
            }
            let near = nearest(key, shape.keys.iter().map(|known| known.name));
            let help = match (near, owner(key), later::instead(key)) {
                (_, None, Some(help)) => help.to_owned(),
                (Some(near), _, _) => format!("did you mean `{near}`?"),
                (None, Some(owner), _) => format!("`{key}` is a key of {owner}"),
                (None, None, None) => {
                    format!("known here: {}", ticked(shape.keys.iter().map(|known| known.name)))
                }
            };
            let message = format!("unknown key `{key}`");
            reader.problems.error(codes::UNKNOWN_KEY, name.span(), message).label(standing).help(help);
            if let Some(near) = shape.keys.iter().find(|known| Some(known.name) == near) {
                entries.meant.push((near.name, key));
            }
        }
        entries
    }

    fn get(&self, key: &str) -> Option<&Value<'t>> {
        let slip = || self.meant.iter().find(|(meant, _)| *meant == key).map(|(_, written)| *written);
        self.table.get(key).or_else(|| self.table.get(slip()?))
    }
}

/// The tables that do have the key.
fn owner(key: &str) -> Option<String> {
    let mut owners = Vec::new();
    for (header, table) in all_tables() {
        if table.keys.iter().any(|known| known.name == key) {
            owners.push(header);
        }
    }
    (!owners.is_empty()).then(|| owners.join(" and "))
}

/// Every table that has a header or a key of its own, outermost first, with its header as written.
pub(crate) fn all_tables() -> Vec<(String, TableShape)> {
    let mut found = Vec::new();
    collect("", &<crate::schema::File as Table>::shape(), &mut found);
    found
}

fn collect(path: &str, table: &TableShape, found: &mut Vec<(String, TableShape)>) {
    for key in &table.keys {
        let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        descend(&below, &key.shape, found);
    }
}

fn descend(path: &str, shape: &Shape, found: &mut Vec<(String, TableShape)>) {
    match shape {
        Shape::Table(table) => {
            found.push((format!("[{path}]"), table.clone()));
            collect(path, table, found);
        }
        Shape::Named(of) => descend(&format!("{path}.NAME"), of, found),
        Shape::List(of) => match of.as_ref() {
            Shape::Either(shapes) => shapes.iter().for_each(|shape| in_array(path, shape, found)),
            of => in_array(path, of, found),
        },
        Shape::Either(shapes) => shapes.iter().for_each(|shape| descend(path, shape, found)),
        _ => {}
    }
}

fn in_array(path: &str, shape: &Shape, found: &mut Vec<(String, TableShape)>) {
    if let Shape::Table(table) = shape {
        found.push((format!("[[{path}]]"), table.clone()));
        collect(path, table, found);
    }
}
