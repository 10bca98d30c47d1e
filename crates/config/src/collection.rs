//! Values made of values: lists, one or many, a limit or none, tables named by the operator.

use toml::Spanned;
use toml::de::DeValue;

use crate::codes;
use crate::setting::{Reader, Setting, Shape, Table, Value};
use crate::values::name::check_name;

/// A list; bad elements are reported and left out.
#[derive(Debug, Clone)]
pub(crate) struct List<T> {
    /// The good elements.
    pub(crate) items: Vec<Spanned<T>>,
    /// How many were written, good or bad.
    pub(crate) written: usize,
}

impl<T> List<T> {
    pub(crate) fn of(items: impl IntoIterator<Item = T>) -> Self {
        let items: Vec<_> = items.into_iter().map(|item| Spanned::new(0..0, item)).collect();
        Self { written: items.len(), items }
    }

    pub(crate) fn values(self) -> impl Iterator<Item = T> {
        self.items.into_iter().map(Spanned::into_inner)
    }
}

impl<T: Setting> Setting for List<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Array(array) = value.get_ref() else {
            let shape = Self::shape();
            let key = reader.key().to_owned();
            let help = match (&shape, value.get_ref()) {
                (Shape::List(of), DeValue::Table(_)) if matches!(of.as_ref(), Shape::Table(_)) => {
                    Some(format!("write [[{key}]], with two brackets"))
                }
                (_, DeValue::String(one)) => Some(format!("put it in brackets: [{:?}]", one.as_ref())),
                (_, DeValue::Integer(one)) => Some(format!("put it in brackets: [{one}]")),
                _ => None,
            };
            reader.wrong_type(value, &shape.describe()).maybe_help(help);
            return None;
        };
        let items = array
            .iter()
            .filter_map(|item| T::read(item, reader).map(|good| Spanned::new(item.span(), good)))
            .collect();
        Some(Self { items, written: array.len() })
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.items.iter().map(|item| item.get_ref().show()).collect();
        format!("[{}]", items.join(", "))
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany<T>(pub(crate) List<T>);

impl<T: Setting> Setting for OneOrMany<T> {
    fn shape() -> Shape {
        Shape::Either(vec![T::shape(), List::<T>::shape()])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        if let DeValue::Array(_) = value.get_ref() {
            return List::read(value, reader).map(Self);
        }
        let one = T::read(value, reader)?;
        Some(Self(List { items: vec![Spanned::new(value.span(), one)], written: 1 }))
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// A limit, or the word `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit<T> {
    To(T),
    Unlimited,
}

impl<T> Limit<T> {
    /// The limit, or `None`.
    pub(crate) fn most(self) -> Option<T> {
        match self {
            Self::To(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }
}

impl<T: Setting> Setting for Limit<T> {
    fn shape() -> Shape {
        let word = Shape::Words { words: vec!["unlimited".to_owned()] };
        Shape::Either(vec![T::shape(), word])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(word) if word == "unlimited" => Some(Self::Unlimited),
            _ => T::read(value, reader).map(Self::To),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::To(limit) => limit.show(),
            Self::Unlimited => "\"unlimited\"".to_owned(),
        }
    }
}

/// Something that can be switched off by the word `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch<T> {
    On(T),
    Off,
}

impl<T> Switch<T> {
    /// What it is set to, or `None`.
    pub(crate) fn on(self) -> Option<T> {
        match self {
            Self::On(value) => Some(value),
            Self::Off => None,
        }
    }
}

impl<T: Setting> Setting for Switch<T> {
    fn shape() -> Shape {
        Shape::Either(vec![T::shape(), Shape::Words { words: vec!["off".to_owned()] }])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(word) if word == "off" => Some(Self::Off),
            _ => T::read(value, reader).map(Self::On),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::On(value) => value.show(),
            Self::Off => "\"off\"".to_owned(),
        }
    }
}

/// Tables named by the operator, in the file's order: `[listener.NAME]`.
#[derive(Debug, Clone)]
pub(crate) struct Named<T> {
    /// The tables that could be read; `None` for one that is no table at all.
    pub(crate) entries: Vec<(Spanned<String>, Option<T>)>,
}

impl<T> Named<T> {
    /// Every name that was written.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.get_ref().as_str())
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Table + Setting> Setting for Named<T> {
    fn shape() -> Shape {
        Shape::Named(Box::new(<T as Setting>::shape()))
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let key = reader.key().to_owned();
        let DeValue::Table(table) = value.get_ref() else {
            reader.wrong_type(value, "a table").help(format!("each has a name: [{key}.NAME]"));
            return None;
        };
        let mut rows: Vec<_> = table.iter().collect();
        rows.sort_by_key(|(name, _)| name.span().start);
        let mut entries = Vec::with_capacity(rows.len());
        let mut nameless = false;
        for (name, value) in rows {
            let written = Spanned::new(name.span(), name.get_ref().to_string());
            if let Err(wrong) = check_name(name.get_ref()) {
                let message = format!("{key}: {}", wrong.message);
                reader.problems.error(wrong.code, name.span(), message).maybe_help(wrong.help);
            }
            let read = reader.within(name.get_ref(), |reader| match value.get_ref() {
                DeValue::Table(table) => Some(T::read_keys(table, name.span(), reader)),
                _ if <T as Table>::shape().keys.iter().any(|known| known.name == name.get_ref().as_ref()) => {
                    if std::mem::replace(&mut nameless, true) {
                        return None;
                    }
                    let help = format!("write [{key}.NAME] above it, with a name of your choice");
                    let message = format!("`{}` stands in [{key}], which has no name", name.get_ref());
                    reader.problems.error(codes::WRONG_TYPE, name.span(), message).help(help);
                    None
                }
                _ => {
                    reader.wrong_type(value, "a table");
                    None
                }
            });
            entries.push((written, read));
        }
        Some(Self { entries })
    }
}
