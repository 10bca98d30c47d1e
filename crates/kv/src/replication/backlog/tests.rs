//! The stream is what was appended, in order, from wherever it is read and as far as it is kept.

use super::*;

fn backlog(size: usize, most: usize) -> Arc<Backlog> {
    let keep = Keep { size, most, ttl: Some(Duration::from_secs(60)) };
    let backlog = Backlog::new(keep, &mut fastrand::Rng::with_seed(1));
    backlog.turn_on();
    Arc::new(backlog)
}

fn append(backlog: &Backlog, db: u8, line: &str) {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    backlog.append(db, words.into_iter());
}

fn all(reader: &mut Reader) -> String {
    let mut out = Vec::new();
    reader.read(usize::MAX, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn commands_stand_in_the_stream_with_their_database() {
    let backlog = backlog(1 << 20, 1 << 20);
    let mut reader = backlog.follow();
    append(&backlog, 0, "SET a 1");
    append(&backlog, 0, "DEL b");
    append(&backlog, 3, "DEL c");
    let select = |db| format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{db}\r\n");
    let first =
        format!("{}*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n", select(0));
    let second = format!("{}*2\r\n$3\r\nDEL\r\n$1\r\nc\r\n", select(3));
    assert_eq!(all(&mut reader), format!("{first}{second}"));
    // Who follows from here on must be told the database again.
    let mut late = backlog.follow();
    append(&backlog, 3, "DEL d");
    let third = format!("{}*2\r\n$3\r\nDEL\r\n$1\r\nd\r\n", select(3));
    assert_eq!(all(&mut late), third);
    assert_eq!(all(&mut reader), third);
    assert_eq!(backlog.position().offset, (first.len() + second.len() + third.len()) as u64);
    // Long words go another way.
    let long = "x".repeat(200_000);
    append(&backlog, 3, &format!("SET k {long} PX"));
    let wanted = format!("*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n{long}\r\n$2\r\nPX\r\n");
    assert_eq!(all(&mut late), wanted);
}

#[test]
fn nothing_is_recorded_while_it_is_off() {
    let backlog = Backlog::new(Keep::default(), &mut fastrand::Rng::with_seed(1));
    append(&backlog, 0, "SET a 1");
    assert_eq!(backlog.position().offset, 0);
    assert!(Arc::new(backlog).resume(ReplicationId::random(&mut fastrand::Rng::with_seed(1)), 0).is_none());
}

#[test]
fn a_stream_that_is_copied_stays_as_it_came() {
    let backlog = backlog(1 << 20, 1 << 20);
    let mut reader = backlog.follow();
    // Whoever has seen that it is on, and comes to append when it is not any more.
    let mut late = backlog.hold();
    backlog.suspend();
    late.append(0, [&b"DEL"[..], b"a"].into_iter());
    late.command([&b"PING"[..]].into_iter());
    late.copied(b"*1\r\n$4\r\nPING\r\n");
    drop(late);
    assert_eq!(all(&mut reader), "*1\r\n$4\r\nPING\r\n");
}

#[test]
fn a_reader_resumes_where_it_was_if_that_is_still_there() {
    let backlog = backlog(200_000, 400_000);
    let id = backlog.position().id;
    let value = "v".repeat(1000);
    let mut reader = backlog.follow();
    append(&backlog, 0, "SET a 1");
    all(&mut reader);
    let offset = reader.offset();
    drop(reader);
    append(&backlog, 0, "SET b 2");
    assert_eq!(all(&mut backlog.resume(id, offset).unwrap()), "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n");
    assert!(backlog.resume(id, backlog.position().offset).is_some());
    assert!(backlog.resume(id, backlog.position().offset + 1).is_none());
    assert!(backlog.resume(ReplicationId::random(&mut fastrand::Rng::with_seed(9)), offset).is_none());
    for _ in 0..400 {
        append(&backlog, 0, &format!("SET c {value}"));
    }
    assert!(backlog.resume(id, offset).is_none());
}

#[test]
fn a_slow_reader_is_waited_for_within_limits() {
    let backlog = backlog(100_000, 1_000_000);
    let mut reader = backlog.follow();
    let value = "v".repeat(1000);
    for _ in 0..800 {
        append(&backlog, 0, &format!("SET c {value}"));
    }
    assert!(backlog.figures().memory > 800_000);
    assert!(all(&mut reader).len() > 800_000);
    append(&backlog, 0, &format!("SET c {value}"));
    assert!(backlog.figures().memory < 300_000, "what everybody has read is given back");
    for _ in 0..1200 {
        append(&backlog, 0, &format!("SET c {value}"));
    }
    assert_eq!(reader.read(10, &mut Vec::new()), Err(Gone));
    assert!(backlog.figures().memory < 1_300_000);
}

#[test]
fn readers_are_woken() {
    let backlog = backlog(1 << 20, 1 << 20);
    let mut reader = backlog.follow();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let writer = {
        let backlog = Arc::clone(&backlog);
        std::thread::spawn(move || (0..1000).for_each(|_| append(&backlog, 0, "INCR a")))
    };
    let wanted = 1000 * "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n".len() + "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".len();
    let mut length = 0;
    while length < wanted {
        runtime.block_on(reader.more());
        length += all(&mut reader).len();
    }
    assert_eq!(length, wanted);
    writer.join().unwrap();
}

#[test]
fn a_branch_lets_those_resume_who_copied_the_same() {
    let mut rng = fastrand::Rng::with_seed(2);
    let primary = ReplicationId::random(&mut rng);
    let copy = backlog(1 << 20, 1 << 20);
    let mut reader = copy.follow();
    copy.adopt(primary, 1000);
    assert_eq!(reader.read(1, &mut Vec::new()), Err(Gone), "another history");
    copy.hold().copied(b"0123456789");
    append(&copy, 0, "SET ours 1");
    assert_eq!(copy.position().offset, 1010, "only what the primary says is in its history");
    copy.branch(&mut rng);
    assert!(copy.is_on());
    append(&copy, 0, "DEL a");
    let Position { id, before, .. } = copy.position();
    assert_eq!(before, Some((primary, 1010)));
    let rest = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n";
    assert_eq!(all(&mut copy.resume(primary, 1005).unwrap()), format!("56789{rest}"));
    assert_eq!(all(&mut copy.resume(primary, 1010).unwrap()), rest);
    assert!(copy.resume(primary, 1011).is_none(), "what came then is ours alone");
    assert!(copy.resume(id, 1011).is_some());
}

#[test]
fn it_rests_when_nobody_reads_for_long() {
    let mut rng = fastrand::Rng::with_seed(3);
    let backlog = backlog(1 << 20, 1 << 20);
    let reader = backlog.follow();
    let id = backlog.position().id;
    let later = Instant::now() + Duration::from_secs(100);
    assert!(!backlog.rest(later, &mut rng), "there is a reader");
    drop(reader);
    assert!(!backlog.rest(Instant::now(), &mut rng), "it may come back");
    assert!(backlog.rest(later, &mut rng));
    assert!(!backlog.is_on());
    assert_ne!(backlog.position().id, id);
    assert!(!backlog.rest(later, &mut rng));
}
