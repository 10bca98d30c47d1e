//! The YAML that our compose file and Prometheus's are written in: blocks, flows on one line, quotes, comments, anchors and
//! merges. What else YAML has is an error here, so that nothing is read in another sense than docker-compose reads it.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// A document as JSON has it. Scalars are strings, but for `true` and `false`.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let lines = text.lines().enumerate().map(|(index, line)| {
        let text = without_comment(line).trim_end();
        let bare = text.trim_start_matches(' ');
        Line { number: index + 1, indent: text.len() - bare.len(), text: bare.to_owned() }
    });
    let lines: Vec<_> = lines.filter(|line| !line.text.is_empty()).collect();
    let mut reader = Reader { lines, at: 0, anchors: HashMap::new() };
    let value = reader.block()?;
    match reader.line() {
        None => Ok(value),
        Some(line) => Err(format!("line {}: indented as nothing before it: {}", line.number, line.text)),
    }
}

#[derive(Clone)]
struct Line {
    number: usize,
    indent: usize,
    text: String,
}

struct Reader {
    lines: Vec<Line>,
    at: usize,
    anchors: HashMap<String, Value>,
}

impl Reader {
    fn line(&self) -> Option<Line> {
        self.lines.get(self.at).cloned()
    }

    /// What begins on this line, at its indentation.
    fn block(&mut self) -> Result<Value, String> {
        match self.line() {
            None => Ok(Value::Null),
            Some(line) if is_item(&line.text) => self.sequence(line.indent),
            Some(line) => self.mapping(line.indent),
        }
    }

    fn sequence(&mut self, indent: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(line) = self.line().filter(|line| line.indent == indent && is_item(&line.text)) {
            let rest = line.text[1..].trim_start();
            if key(rest).is_some() {
                // A mapping whose first line stands beside the dash.
                let inner = line.indent + line.text.len() - rest.len();
                self.lines[self.at] = Line { number: line.number, indent: inner, text: rest.to_owned() };
                items.push(self.mapping(inner)?);
            } else {
                self.at += 1;
                items.push(self.node(rest, &line)?);
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize) -> Result<Value, String> {
        let (mut own, mut merged) = (Map::new(), Vec::new());
        while let Some(line) = self.line().filter(|line| line.indent == indent && !is_item(&line.text)) {
            let wrong = |what: &str| format!("line {}: {what}: {}", line.number, line.text);
            let (key, rest) = key(&line.text).ok_or_else(|| wrong("no key"))?;
            self.at += 1;
            let value = self.node(rest, &line)?;
            if key == "<<" {
                merged.push(value);
            } else if own.insert(key.to_owned(), value).is_some() {
                return Err(wrong("a key that is there already"));
            }
        }
        Ok(Value::Object(merge(own, merged)?))
    }

    /// What a key or a dash has: the rest of its line, or the block below.
    fn node(&mut self, rest: &str, line: &Line) -> Result<Value, String> {
        let (anchor, rest) = match rest.strip_prefix('&') {
            Some(rest) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                (Some(name.to_owned()), rest.trim_start())
            }
            None => (None, rest),
        };
        let below =
            |next: &Line| next.indent > line.indent || (next.indent == line.indent && is_item(&next.text));
        let value = if !rest.is_empty() {
            Flow { rest, anchors: &self.anchors }
                .whole()
                .map_err(|error| format!("line {}: {error}", line.number))?
        } else if self.line().is_some_and(|next| below(&next) && !is_item(&line.text)) {
            self.block()?
        } else {
            Value::Null
        };
        if let Some(name) = anchor {
            self.anchors.insert(name, value.clone());
        }
        Ok(value)
    }
}

/// A value on one line.
struct Flow<'t> {
    rest: &'t str,
    anchors: &'t HashMap<String, Value>,
}

impl Flow<'_> {
    /// The value that the whole line is.
    fn whole(mut self) -> Result<Value, String> {
        match self.rest.chars().next() {
            Some('[' | '{' | '"' | '\'' | '*') => {
                let value = self.value()?;
                let rest = self.rest.trim();
                if rest.is_empty() { Ok(value) } else { Err(format!("unexpected: {rest}")) }
            }
            _ => plain(self.rest),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next() {
            Some('[') => self.list(),
            Some('{') => self.map(),
            Some(quote @ ('"' | '\'')) => {
                let inner = &self.rest[1..];
                let end = inner.find(quote).ok_or("a quote without its end")?;
                self.rest = &inner[end + 1..];
                if inner[..end].contains('\\') {
                    return Err(format!("an escape: {}", &inner[..end]));
                }
                Ok(Value::String(inner[..end].to_owned()))
            }
            Some('*') => {
                let name = self.word(|c| c == ',' || c == ']' || c == '}' || c == ' ')[1..].to_owned();
                self.anchors.get(&name).cloned().ok_or_else(|| format!("no anchor {name}"))
            }
            _ => plain(self.word(|c| matches!(c, ',' | ']' | '}')).trim()),
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        while !self.eat(']') {
            items.push(self.value()?);
            if !self.eat(',') && !self.rest.trim_start().starts_with(']') {
                return Err("a list without its end".to_owned());
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let (mut own, mut merged) = (Map::new(), Vec::new());
        while !self.eat('}') {
            let key = self.word(|c| c == ':' || c == '}').trim().to_owned();
            if !self.eat(':') {
                return Err(format!("a key without a value: {key}"));
            }
            let value = self.value()?;
            if key == "<<" {
                merged.push(value)
            } else {
                drop(own.insert(key, value))
            }
            if !self.eat(',') && !self.rest.trim_start().starts_with('}') {
                return Err("a mapping without its end".to_owned());
            }
        }
        Ok(Value::Object(merge(own, merged)?))
    }

    fn word(&mut self, is_end: impl Fn(char) -> bool) -> &str {
        let (word, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn eat(&mut self, what: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn plain(text: &str) -> Result<Value, String> {
    match text {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ if text.starts_with(['|', '>', '!', '%', '@', '`', '?', '&', '*', '[', '{']) => {
            Err(format!("not read here: {text}"))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// What a mapping says itself comes before what it takes from others.
fn merge(mut own: Map<String, Value>, merged: Vec<Value>) -> Result<Map<String, Value>, String> {
    for value in merged {
        let Value::Object(other) = value else { return Err(format!("<<: {value} is no mapping")) };
        for (key, value) in other {
            own.entry(key).or_insert(value);
        }
    }
    Ok(own)
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// The key that a line begins with, and what comes after it.
fn key(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['"', '\'', '[', '{']) {
        return None;
    }
    if let Some(key) = text.strip_suffix(':').filter(|key| !key.contains(": ")) {
        return Some((key, ""));
    }
    let (key, rest) = text.split_once(": ")?;
    Some((key, rest.trim_start()))
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '#' && before == ' ' => return &line[..at],
            // Within a word an apostrophe is one.
            None if (c == '"' || c == '\'') && " [{,".contains(before) => quote = Some(c),
            None => {}
        }
        before = c;
    }
    line
}

#[test]
fn blocks_flows_anchors_and_merges_are_read() {
    let text = "x-a: &a\n  one: 1 # said\n  two: [\"a # b\", it's]\n\nb:\n  <<: *a\n  one: true\nc: { <<: *a, d: { e: f } }\n\
                l:\n- x: 1\n  y:\n    - --a=${B:-c}\n- two words\n";
    let wanted = serde_json::json!({
        "x-a": { "one": "1", "two": ["a # b", "it's"] },
        "b": { "one": true, "two": ["a # b", "it's"] },
        "c": { "one": "1", "two": ["a # b", "it's"], "d": { "e": "f" } },
        "l": [{ "x": "1", "y": ["--a=${B:-c}"] }, "two words"],
    });
    assert_eq!(read(text), Ok(wanted));
}

#[test]
fn what_is_not_known_is_no_guess() {
    for text in [
        "a: |\n  b",
        "a: *nobody",
        "a: [b",
        "a: 1\na: 2",
        "a: 1\n   b: 2",
        "a: \"b\\n\"",
        "a: [\n  b]",
        "a\nb",
    ] {
        assert!(read(text).is_err(), "{text:?}: {:?}", read(text));
    }
}
