//! The parameters of `CONFIG GET` and `CONFIG SET`: names, how each is shown and changed. Those that Redis has and this
//! server has not are unknown; some that clients and benchmarks ask for say what is the case here.

use crate::server::config::Config;
use crate::server::config::units::parse_size;
use crate::server::mailbox::OutputLimit;
use crate::store::{DATABASES, Policy};

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name, and older ones.
    pub(super) names: &'static [&'static str],
    pub(super) show: fn(&Config) -> String,
    /// `None`: cannot be changed. The error is the end of a sentence for people.
    pub(super) change: Option<Change>,
}

type Change = fn(&mut Config, &str) -> Result<(), String>;

const fn parameter(names: &'static [&'static str], show: fn(&Config) -> String, change: Change) -> Parameter {
    Parameter { names, show, change: Some(change) }
}

const fn fixed(name: &'static [&'static str], show: fn(&Config) -> String) -> Parameter {
    Parameter { names: name, show, change: None }
}

pub(super) const ALL: &[Parameter] = &[
    parameter(&["appendonly"], |_| "no".into(), |_, value| only(value, "no", "there is no append-only file")),
    fixed(&["bind"], |c| c.fixed.bind.clone()),
    parameter(&["client-output-buffer-limit"], output_limits, change_output_limits),
    parameter(
        &["client-query-buffer-limit"],
        |c| c.query_limit.to_string(),
        |c, value| {
            c.query_limit = size(value, 1 << 20)?;
            Ok(())
        },
    ),
    fixed(&["databases"], |_| DATABASES.to_string()),
    fixed(&["dbfilename"], |c| c.fixed.snapshot.clone()),
    fixed(&["dir"], |c| c.fixed.directory.clone()),
    parameter(
        &["hash-max-listpack-entries", "hash-max-ziplist-entries"],
        |c| c.settings.hash_compact.0.to_string(),
        |c, value| number(value, 0, usize::MAX).map(|entries| c.settings.hash_compact.0 = entries),
    ),
    parameter(
        &["hash-max-listpack-value", "hash-max-ziplist-value"],
        |c| c.settings.hash_compact.1.to_string(),
        |c, value| size(value, 0).map(|bytes| c.settings.hash_compact.1 = bytes),
    ),
    parameter(&["list-max-listpack-size", "list-max-ziplist-size"], list_size, change_list_size),
    parameter(
        &["masterauth", "primaryauth"],
        |c| String::from_utf8_lossy(&c.primary_password).into_owned(),
        |c, value| {
            c.primary_password = value.into();
            Ok(())
        },
    ),
    parameter(
        &["maxclients"],
        |c| c.maxclients.to_string(),
        |c, value| {
            c.maxclients = number(value, 1, usize::MAX)?;
            Ok(())
        },
    ),
    parameter(
        &["maxmemory"],
        |c| c.maxmemory.to_string(),
        |c, value| {
            c.maxmemory = size(value, 0)?;
            Ok(())
        },
    ),
    parameter(
        &["maxmemory-policy"],
        |c| c.policy.name().to_owned(),
        |c, value| {
            c.policy = Policy::named(value).ok_or_else(|| {
                let names: Vec<_> = Policy::all().map(Policy::name).collect();
                format!("argument(s) must be one of the following: {}", names.join(", "))
            })?;
            Ok(())
        },
    ),
    fixed(&["port"], |c| c.fixed.port.to_string()),
    parameter(
        &["proto-max-bulk-len"],
        |c| c.settings.longest_string.to_string(),
        |c, value| {
            c.settings.longest_string = size(value, 1 << 20)?;
            Ok(())
        },
    ),
    parameter(
        &["repl-backlog-size"],
        |c| c.backlog_size.to_string(),
        |c, value| {
            c.backlog_size = size(value, 16 << 10)?;
            Ok(())
        },
    ),
    parameter(
        &["repl-backlog-ttl"],
        |c| c.backlog_ttl.to_string(),
        |c, value| {
            c.backlog_ttl = number(value, 0, u64::MAX)?;
            Ok(())
        },
    ),
    parameter(
        &["repl-ping-replica-period", "repl-ping-slave-period"],
        |c| c.replica_ping_period.to_string(),
        |c, value| {
            c.replica_ping_period = number(value, 1, u64::MAX)?;
            Ok(())
        },
    ),
    parameter(
        &["repl-timeout"],
        |c| c.replication_timeout.to_string(),
        |c, value| {
            c.replication_timeout = number(value, 1, u64::MAX)?;
            Ok(())
        },
    ),
    parameter(
        &["replica-read-only", "slave-read-only"],
        |c| switch(c.replica_read_only),
        |c, value| {
            c.replica_read_only = parse_switch(value)?;
            Ok(())
        },
    ),
    parameter(
        &["replica-serve-stale-data", "slave-serve-stale-data"],
        |c| switch(c.serves_stale),
        |c, value| {
            c.serves_stale = parse_switch(value)?;
            Ok(())
        },
    ),
    parameter(
        &["requirepass"],
        |c| String::from_utf8_lossy(&c.password).into_owned(),
        |c, value| {
            c.password = value.into();
            Ok(())
        },
    ),
    parameter(&["save"], save, change_save),
    parameter(
        &["set-max-intset-entries"],
        |c| c.settings.intset.to_string(),
        |c, value| number(value, 0, usize::MAX).map(|entries| c.settings.intset = entries),
    ),
    parameter(
        &["slowlog-log-slower-than"],
        |c| c.slowlog_threshold.to_string(),
        |c, value| {
            c.slowlog_threshold = number(value, -1, i64::MAX)?;
            Ok(())
        },
    ),
    parameter(
        &["slowlog-max-len"],
        |c| c.slowlog_length.to_string(),
        |c, value| {
            c.slowlog_length = number(value, 0, 1 << 20)?;
            Ok(())
        },
    ),
    parameter(
        &["tcp-keepalive"],
        |c| c.keepalive.to_string(),
        |c, value| {
            c.keepalive = number(value, 0, 1 << 20)?;
            Ok(())
        },
    ),
    parameter(
        &["timeout"],
        |c| c.timeout.to_string(),
        |c, value| {
            c.timeout = number(value, 0, i32::MAX as u64)?;
            Ok(())
        },
    ),
    parameter(
        &["zset-max-listpack-entries", "zset-max-ziplist-entries"],
        |c| c.settings.sorted_set_compact.0.to_string(),
        |c, value| number(value, 0, usize::MAX).map(|entries| c.settings.sorted_set_compact.0 = entries),
    ),
    parameter(
        &["zset-max-listpack-value", "zset-max-ziplist-value"],
        |c| c.settings.sorted_set_compact.1.to_string(),
        |c, value| size(value, 0).map(|bytes| c.settings.sorted_set_compact.1 = bytes),
    ),
];

fn number<N: std::str::FromStr + PartialOrd + std::fmt::Display>(
    value: &str,
    least: N,
    most: N,
) -> Result<N, String> {
    let outside = || format!("argument must be between {least} and {most} inclusive");
    match value.parse::<N>() {
        Ok(number) if number < least || number > most => Err(outside()),
        Ok(number) => Ok(number),
        Err(_) if value.parse::<i128>().is_ok() => Err(outside()),
        Err(_) => Err("argument couldn't be parsed into an integer".into()),
    }
}

fn size(value: &str, least: usize) -> Result<usize, String> {
    match parse_size(value) {
        None => Err("argument must be a memory value".into()),
        Some(bytes) if bytes < least => {
            Err(format!("argument must be between {least} and {} inclusive", usize::MAX))
        }
        Some(bytes) => Ok(bytes),
    }
}

fn switch(on: bool) -> String {
    if on { "yes" } else { "no" }.to_owned()
}

fn parse_switch(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

fn only(value: &str, possible: &str, why: &str) -> Result<(), String> {
    if value.eq_ignore_ascii_case(possible) { Ok(()) } else { Err(why.to_owned()) }
}

/// As in Redis 7: a size in bytes for negative numbers, which is all that is told apart here.
fn list_size(config: &Config) -> String {
    match config.settings.list_compact {
        4096 => "-1".into(),
        8192 => "-2".into(),
        16384 => "-3".into(),
        32768 => "-4".into(),
        _ => "-5".into(),
    }
}

fn change_list_size(config: &mut Config, value: &str) -> Result<(), String> {
    let number: i64 = number(value, -5, i64::from(i32::MAX))?;
    config.settings.list_compact = match number {
        -1 => 4096,
        -2 => 8192,
        -3 => 16384,
        -4 => 32768,
        -5 => 65536,
        _ => return Err("a number of entries is not supported, only the sizes -1 to -5".into()),
    };
    Ok(())
}

/// `3600 1`: after so many seconds if there was a change.
fn save(config: &Config) -> String {
    match config.snapshot_interval {
        0 => String::new(),
        seconds => format!("{seconds} 1"),
    }
}

fn change_save(config: &mut Config, value: &str) -> Result<(), String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let mut interval = 0;
    for pair in words.chunks(2) {
        let [seconds, changes] = pair else { return Err("Invalid save parameters".into()) };
        let (seconds, changes): (u64, u64) = match (seconds.parse(), changes.parse()) {
            (Ok(seconds), Ok(changes)) => (seconds, changes),
            _ => return Err("Invalid save parameters".into()),
        };
        if seconds == 0 || changes == 0 {
            return Err("Invalid save parameters".into());
        }
        // One interval is kept: the one that is due first.
        interval = if interval == 0 { seconds } else { interval.min(seconds) };
    }
    if interval > 0 && config.fixed.snapshot.is_empty() {
        return Err("the server was started without a file for snapshots (--snapshot)".into());
    }
    config.snapshot_interval = interval;
    Ok(())
}

fn output_limits(config: &Config) -> String {
    let one = |name, limit: OutputLimit| format!("{name} {} {} {}", limit.hard, limit.soft, limit.seconds);
    [
        one("normal", config.normal_output),
        one("slave", config.replica_output),
        one("pubsub", config.pubsub_output),
    ]
    .join(" ")
}

fn change_output_limits(config: &mut Config, value: &str) -> Result<(), String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for class in words.chunks(4) {
        let [name, hard, soft, seconds] = class else { continue };
        let limit = match (parse_size(hard), parse_size(soft), seconds.parse()) {
            (Some(hard), Some(soft), Ok(seconds)) => OutputLimit { hard, soft, seconds },
            _ => {
                return Err(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.".into()
                );
            }
        };
        match name.to_ascii_lowercase().as_str() {
            "normal" => config.normal_output = limit,
            "slave" | "replica" => config.replica_output = limit,
            "pubsub" => config.pubsub_output = limit,
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        }
    }
    Ok(())
}
