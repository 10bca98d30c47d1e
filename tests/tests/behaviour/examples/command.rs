//! The shell commands that examples name, as far as they are needed: curl in a loop, and what to ask it for.

/// One run of curl.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curl {
    /// `GET` unless `-X` says otherwise.
    pub(super) method: String,
    /// `-H` fields as written, `name: value`.
    pub(super) fields: Vec<String>,
    /// What `--unix-socket` names.
    pub(super) unix_socket: Option<String>,
    /// The authority in the URL.
    pub(super) authority: String,
    /// The paths to ask for on one connection: several where the URL has `[1-5]`.
    pub(super) paths: Vec<String>,
}

/// The runs of curl in `curl …`, `for i in $(seq 3); do curl …; done`, each perhaps with `| …` after it; `None` for
/// anything else.
pub(super) fn curls(command: &str) -> Option<Vec<Curl>> {
    let command = command.split(" | ").next().unwrap_or(command).trim();
    let Some(rest) = command.strip_prefix("for i in $(seq ") else {
        return Some(vec![curl(command)?]);
    };
    let (times, rest) = rest.split_once("); do ")?;
    let run = curl(rest.strip_suffix("; done")?)?;
    Some(vec![run; times.parse().ok()?])
}

/// Splits a command into words as a shell does, quotes removed.
pub(super) fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for character in command.chars() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

fn curl(command: &str) -> Option<Curl> {
    let mut words = words(command).into_iter();
    if words.next()? != "curl" {
        return None;
    }
    let mut run = Curl {
        method: "GET".to_owned(),
        fields: Vec::new(),
        unix_socket: None,
        authority: String::new(),
        paths: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" | "-i" => {}
            "-X" => run.method = words.next()?,
            "-H" => run.fields.push(words.next()?),
            "--unix-socket" => run.unix_socket = Some(words.next()?),
            url => {
                let (authority, path) = url.strip_prefix("http://")?.split_once('/')?;
                run.authority = authority.to_owned();
                run.paths = several(&format!("/{path}"))?;
            }
        }
    }
    (!run.paths.is_empty()).then_some(run)
}

/// Expands curl's `[1-5]`.
fn several(path: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = path.split_once('[') else { return Some(vec![path.to_owned()]) };
    let (range, after) = rest.split_once(']')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
    Some((first..=last).map(|number| format!("{before}{number}{after}")).collect())
}

#[test]
fn commands_are_read() {
    let runs = curls("for i in $(seq 3); do curl -s 'http://127.0.0.1:8080/a?[1-2]'; done | sort").unwrap();
    assert_eq!(runs.len(), 3);
    assert_eq!((runs[0].authority.as_str(), runs[0].method.as_str()), ("127.0.0.1:8080", "GET"));
    assert_eq!(runs[0].paths, ["/a?1", "/a?2"]);
    let run = &curls("curl -i -X POST -H 'a: b c' --unix-socket /x.sock http://localhost/").unwrap()[0];
    assert_eq!((run.method.as_str(), run.unix_socket.as_deref()), ("POST", Some("/x.sock")));
    assert_eq!((&run.fields[..], &run.paths[..]), (&["a: b c".to_owned()][..], &["/".to_owned()][..]));
    assert_eq!(curls("nc 127.0.0.1 8080"), None);
    assert_eq!(words("a 'b c' \"d\"e ''"), ["a", "b c", "de", ""]);
}
