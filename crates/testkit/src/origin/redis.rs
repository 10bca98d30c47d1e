//! An origin that speaks as much Redis as a probe, and a client beside it, need.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Conversation, Origin};

/// What a scripted Redis does; changed while it runs.
#[derive(Clone, Default)]
pub struct RedisMood(Arc<Mutex<Mood>>);

#[derive(Default)]
struct Mood {
    password: Option<String>,
    trouble: Option<String>,
}

impl RedisMood {
    /// Wants this password before anything else.
    pub fn require(&self, password: &str) {
        self.lock().password = Some(password.to_owned());
    }

    /// Answers every command but `AUTH` with this error, such as `LOADING …`; `None` ends the trouble.
    pub fn trouble(&self, error: Option<&str>) {
        self.lock().trouble = error.map(str::to_owned);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Mood> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to one command.
    fn reply(&self, name: &str, command: &[String], is_known: &mut bool) -> Vec<u8> {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        let mood = self.lock();
        let line = match (words.as_slice(), &mood.password) {
            ([auth, given], Some(password)) if auth.eq_ignore_ascii_case("AUTH") => {
                *is_known = given == password;
                if *is_known { "+OK".to_owned() } else { "-WRONGPASS invalid password".to_owned() }
            }
            ([auth, ..], None) if auth.eq_ignore_ascii_case("AUTH") => {
                "-ERR AUTH called without any password configured".to_owned()
            }
            (_, Some(_)) if !*is_known => "-NOAUTH Authentication required.".to_owned(),
            _ => match (&mood.trouble, words.as_slice()) {
                (Some(trouble), _) => format!("-{trouble}"),
                (None, [ping]) if ping.eq_ignore_ascii_case("PING") => "+PONG".to_owned(),
                (None, [get, _]) if get.eq_ignore_ascii_case("GET") => format!("${}\r\n{name}", name.len()),
                _ => "+OK".to_owned(),
            },
        };
        format!("{line}\r\n").into_bytes()
    }
}

impl Origin {
    /// Answers `PING`, `AUTH`, and `GET` of whatever key with `name`; anything else with `OK`.
    pub fn redis(name: &str, mood: &RedisMood) -> Self {
        let (name, mood) = (name.to_owned(), mood.clone());
        Self::script(move |conversation| {
            let (mut received, mut is_known) = (Vec::new(), false);
            while let Some(command) = command(conversation, &mut received) {
                if !conversation.send(mood.reply(&name, &command, &mut is_known)) {
                    return;
                }
            }
        })
    }
}

/// The next command, inline or an array of bulk strings; `None` when the connection ended instead.
fn command(conversation: &mut Conversation, received: &mut Vec<u8>) -> Option<Vec<String>> {
    let first = line(conversation, received)?;
    let Some(count) = first.strip_prefix('*') else {
        return Some(first.split_ascii_whitespace().map(str::to_owned).collect());
    };
    let count = count.parse().expect("a number of words");
    let mut words = Vec::new();
    for _ in 0..count {
        // Lengths are not needed: no word of a test has a line end in it.
        line(conversation, received)?;
        words.push(line(conversation, received)?);
    }
    Some(words)
}

fn line(conversation: &mut Conversation, received: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = received.windows(2).position(|pair| pair == b"\r\n") {
            let line = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 2);
            return Some(line);
        }
        received.extend(conversation.some()?);
    }
}
