use super::*;
use model::id::NodeId;
use std::path::Path;

fn options() -> Options {
    Options {
        // A chunk of 16 records.
        segment_bytes: 2 << 10,
        ..Options::of(NodeId::parse("one").unwrap())
    }
}

fn open(folder: &Path) -> Tokens {
    let home = Arc::new(Home::open(folder).unwrap());
    Tokens::open(&home, &options()).unwrap()
}

/// The records that are in the log.
fn records(tokens: &Tokens) -> usize {
    let mut many = 0;
    tokens
        .log
        .read(|_, _| {
            many += 1;
            Ok(true)
        })
        .unwrap();
    many
}

/// What is too old is forgotten in passing, in memory and on disk, so that a flood does not stay.
#[tokio::test]
async fn old_tokens_go_while_new_ones_come() {
    const LATER: i64 = 10 << 18;
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(folder.path());
    for i in 0..200 {
        let token = i.to_string();
        tokens.mint(&token, "a", Time(0), Time(10)).await.unwrap();
        tokens.burn(&token, "a", Time(0), Time(10)).await.unwrap();
    }
    for i in 200..220 {
        let (token, now, until) = (i.to_string(), Time(LATER), Time(LATER + 10));
        tokens.mint(&token, "a", now, until).await.unwrap();
        tokens.burn(&token, "a", now, until).await.unwrap();
    }
    let many = |tokens: &Tokens| {
        let state = tokens.state.lock();
        (state.challenges.len(), state.burnt.len())
    };
    assert_eq!(many(&tokens), (20, 20));
    assert!(records(&tokens) < 80, "{}", records(&tokens));
    drop(tokens);
    let tokens = open(folder.path());
    let found = tokens.all().await.unwrap();
    let young = |list: &[Token]| list.iter().filter(|token| token.until.0 > LATER).count();
    assert_eq!((young(&found.0), young(&found.1)), (20, 20));
}

/// A token that counts for long does not keep the log of all that came after it.
#[tokio::test]
async fn a_log_of_little_that_counts_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(folder.path());
    let never = Time(i64::MAX);
    tokens.mint("long", "a", Time(0), never).await.unwrap();
    tokens.burn("long", "a", Time(0), never).await.unwrap();
    tokens.mint("taken", "a", Time(0), never).await.unwrap();
    for i in 0..2_000 {
        let token = i.to_string();
        tokens.mint(&token, "a", Time(0), never).await.unwrap();
        let taken = tokens.take(&token, "a", Time(0)).await.unwrap();
        assert_eq!(taken, Taken::Yes);
    }
    assert_eq!(
        tokens.take("taken", "a", Time(0)).await.unwrap(),
        Taken::Yes
    );
    assert!(records(&tokens) < 300, "{}", records(&tokens));
    for _ in 0..2 {
        let all = open_again(&tokens, folder.path()).await;
        assert_eq!(all, (vec!["long".to_owned()], vec!["long".to_owned()]));
    }
}

/// What a copy of the folder says, once all that was noted is in it.
async fn open_again(tokens: &Tokens, folder: &Path) -> (Vec<String>, Vec<String>) {
    tokens.log.settled(tokens.log.head()).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join(FOLDER)).unwrap();
    for entry in std::fs::read_dir(folder.join(FOLDER)).unwrap() {
        let entry = entry.unwrap();
        let to = copy.path().join(FOLDER).join(entry.file_name());
        std::fs::copy(entry.path(), to).unwrap();
    }
    let (challenges, burnt) = open(copy.path()).all().await.unwrap();
    let names = |list: Vec<Token>| list.into_iter().map(|token| token.token).collect();
    (names(challenges), names(burnt))
}

/// While the disk refuses, calls are refused with a fault that passes, those that wait and new
/// ones; once it takes writes, all goes on by itself, and nothing that was said is undone.
#[tokio::test]
async fn a_disk_that_refuses_refuses_calls_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(folder.path());
    // A folder in the way of the first segment is a trouble that root has as well.
    let blocked = crate::tape::path_of(&folder.path().join(FOLDER), 1);
    std::fs::create_dir(&blocked).unwrap();
    let burn = async |token: &str| tokens.burn(token, "a", Time(0), Time(10)).await;
    assert!(burn("waits").await.unwrap_err().retry);
    assert!(burn("new").await.unwrap_err().retry);
    assert!(tokens.take("new", "a", Time(0)).await.unwrap_err().retry);
    std::fs::remove_dir(&blocked).unwrap();
    while tokens.log.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(burn("new").await.unwrap(), Burnt::New);
    assert_eq!(burn("waits").await.unwrap(), Burnt::Seen);
    let all = open_again(&tokens, folder.path()).await;
    assert_eq!(all.1, ["new", "waits"]);
}

/// There is a bound, and room again when what was there is too old.
#[tokio::test]
async fn more_than_the_bound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens = open(folder.path());
    tokens.most = 2;
    let burn = async |token: &str, now: i64| {
        let burnt = tokens.burn(token, "a", Time(now), Time(now + 10)).await;
        burnt.map_err(|fault| fault.retry)
    };
    assert_eq!(burn("1", 0).await, Ok(Burnt::New));
    assert_eq!(burn("2", 0).await, Ok(Burnt::New));
    assert_eq!(burn("3", 0).await, Err(true));
    assert_eq!(burn("3", 1 << 18).await, Ok(Burnt::New));
}

#[test]
fn a_record_reads_as_it_was_written_and_damage_is_seen() {
    for what in [What::Minted, What::Taken, What::Burnt, What::Cleared] {
        let record = Record {
            what,
            until: Time(-7),
            owner: "ü",
            token: "t",
        };
        let bytes = record.bytes();
        assert_eq!(Record::read(&bytes), Some(record));
        for cut in 0..bytes.len() - 1 {
            assert_eq!(Record::read(&bytes[..cut]), None, "{cut}");
        }
    }
    assert_eq!(Record::read(&[9; 40]), None);
    assert_eq!(Record::read(b""), None);
}

/// What an older registry kept is in the log, also when it was taken over twice.
#[tokio::test]
async fn tokens_of_an_older_registry_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let token = |token: &str| Token {
        owner: "o".into(),
        token: token.into(),
        until: Time(50),
    };
    for _ in 0..2 {
        let home = Home::open(folder.path()).unwrap();
        take_over(&home, &options(), &[token("c")], &[token("b")]).unwrap();
    }
    let tokens = open(folder.path());
    assert_eq!(
        tokens.all().await.unwrap(),
        (vec![token("c")], vec![token("b")])
    );
}

/// A mark that is made ahead does not wait, and is not settled while the disk refuses it.
#[tokio::test]
async fn a_mark_made_ahead_is_settled_once_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(folder.path());
    let blocked = crate::tape::path_of(&folder.path().join(FOLDER), 1);
    std::fs::create_dir(&blocked).unwrap();
    let (burnt, mark) = tokens
        .burn_ahead("t", "a", Time(0), Time(10))
        .await
        .unwrap();
    assert_eq!(burnt, Burnt::New);
    assert!(tokens.settled(mark, Time(0)).await.unwrap_err().retry);
    std::fs::remove_dir(&blocked).unwrap();
    while tokens.log.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    tokens.settled(mark, Time(0)).await.unwrap();
    let all = open_again(&tokens, folder.path()).await;
    assert_eq!(all.1, ["t"]);
}

/// Calls that never wait for their own marks leave no long log behind either.
#[tokio::test]
async fn marks_made_ahead_are_forgotten_too() {
    const LATER: i64 = 10 << 18;
    let folder = tempfile::tempdir().unwrap();
    let tokens = open(folder.path());
    for (from, now) in [(0, 0), (200, LATER)] {
        for i in from..from + 200 {
            let (token, until) = (i.to_string(), Time(now + 10));
            let made = tokens.burn_ahead(&token, "a", Time(now), until).await;
            tokens.settled(made.unwrap().1, Time(now)).await.unwrap();
        }
    }
    assert!(records(&tokens) < 250, "{}", records(&tokens));
}
