//! Tests of sessions in memory with files.

use super::*;
use std::path::PathBuf;

fn temporary_path() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    (dir, path)
}

fn loaded(path: &Path, config: &ServerConfig) -> DurableStore {
    let store = DurableStore::open(path, config).unwrap();
    while store.state().loading {
        std::thread::yield_now();
    }
    store
}

/// The items and the number of events of a session as a new process finds it.
fn found(path: &Path, id: &str) -> Option<(String, u64)> {
    let closing = AtomicBool::new(false);
    let config = ServerConfig::default();
    let mut table = files::read(&Files::new(path), u64::MAX, 1, &config, &closing).unwrap();
    table.get(id, Now::read()).map(|session| (session.items.concat(), session.events))
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn sessions_are_found_again_and_a_removed_one_is_not() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    for round in 1..4 {
        let store = loaded(&path, &config);
        for (id, item) in [("v1", "a"), ("v2", "b"), ("v1", "c")] {
            assert_eq!(store.append(id, Event::click(item)).await.unstored, None);
        }
        assert_eq!(store.get("v1").await.unwrap().unwrap().events, 2 * round);
        assert_eq!(store.remove("v2").await.unwrap(), Removal::Done);
        assert_eq!(store.remove("v2").await.unwrap(), Removal::Absent);
        assert_eq!(store.close(), 0);
        assert_eq!(found(&path, "v1"), Some(("ac".repeat(round as usize), 2 * round)));
        assert_eq!(found(&path, "v2"), None);
    }
}

#[tokio::test]
async fn a_snapshot_made_while_events_come_loses_none_and_doubles_none() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let store = Arc::new(loaded(&path, &config));
    for session in 0..2_000 {
        store.append(&session.to_string(), Event::click("a")).await;
    }
    for round in 2..6 {
        // As if the logs had outgrown the last snapshot.
        store.shared.wanted.store(true, Ordering::Relaxed);
        let clicking: Vec<_> = (0..4)
            .map(|part| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for session in (part..2_000).step_by(4) {
                        store.append(&session.to_string(), Event::click("a")).await;
                    }
                })
            })
            .collect();
        for task in clicking {
            task.await.unwrap();
        }
        store.remove("7").await.unwrap();
        store.append("7", Event::click("b")).await;
        assert_eq!(found(&path, "1999"), Some(("a".repeat(round as usize), round)));
        assert_eq!(found(&path, "7"), Some(("b".to_owned(), 1)));
    }
    until(|| !store.shared.snapping.load(Ordering::Relaxed)).await;
    assert!(path.exists(), "there is a snapshot");
    assert_eq!(store.close(), 0);
    for session in (0..2_000).filter(|&session| session != 7).step_by(97) {
        assert_eq!(found(&path, &session.to_string()), Some(("a".repeat(5), 5)), "{session}");
    }
}

#[tokio::test]
async fn events_are_taken_before_the_sessions_of_before_are_read() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let store = loaded(&path, &config);
    for (id, item) in [("v1", "a"), ("v2", "b"), ("v3", "c")] {
        store.append(id, Event::click(item)).await;
    }
    store.close();
    drop(store);
    let store = DurableStore::open(&path, &config).unwrap();
    // Whether or not they are read by now, they are afterwards as if they had been.
    store.append("v1", Event::click("d")).await;
    store.remove("v2").await.unwrap();
    store.append("new", Event::click("e")).await;
    until(|| !store.state().loading).await;
    let items = async |id| store.get(id).await.unwrap().map(|session| session.items.concat());
    assert_eq!(items("v1").await.as_deref(), Some("ad"));
    assert_eq!(items("v2").await, None);
    assert_eq!(items("v3").await.as_deref(), Some("c"));
    assert_eq!(items("new").await.as_deref(), Some("e"));
    store.append("v1", Event::click("f")).await;
    assert_eq!(store.close(), 0);
    assert_eq!(found(&path, "v1"), Some(("adf".to_owned(), 3)));
    assert_eq!(found(&path, "v2"), None);
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_cannot_be_read_are_left_as_they_are_and_continued() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let store = loaded(&path, &config);
    store.append("v1", Event::click("a")).await;
    assert_eq!(store.close(), 0);
    drop(store);
    let unreadable = Files::new(&path).log(9);
    std::os::unix::fs::symlink(&unreadable, &unreadable).unwrap();
    let store = loaded(&path, &config);
    assert!(store.state().fault.is_some());
    // A snapshot would lack what could not be read, and take its place.
    store.shared.wanted.store(true, Ordering::Relaxed);
    store.append("v2", Event::click("b")).await;
    until(|| !store.shared.wanted.load(Ordering::Relaxed)).await;
    // Written after a snapshot would have begun.
    store.append("v2", Event::click("c")).await;
    until(|| !store.shared.snapping.load(Ordering::Relaxed)).await;
    assert_eq!(store.close(), 0);
    assert!(!path.exists());
    std::fs::remove_file(unreadable).unwrap();
    assert_eq!(found(&path, "v1"), Some(("a".to_owned(), 1)));
    assert_eq!(found(&path, "v2"), Some(("bc".to_owned(), 2)));
}

#[tokio::test]
async fn while_the_disk_is_full_events_and_removals_wait_in_memory() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let store = loaded(&path, &config);
    store.append("v1", Event::click("a")).await;
    store.append("v2", Event::click("a")).await;
    store.shared.full.store(true, Ordering::Relaxed);
    let Appended { session, unstored, .. } = store.append("v1", Event::click("b")).await;
    assert_eq!(session.events, 2);
    assert!(matches!(unstored, Some(Unstored::Pending(_))), "{unstored:?}");
    assert!(matches!(store.remove("v2").await.unwrap(), Removal::Pending(_)));
    // An event that is sent again is not promised more.
    let named = Event { key: Some(("k".into(), "a".into())), ..Event::click("a") };
    for _ in 0..2 {
        assert!(matches!(store.append("v3", named.clone()).await.unstored, Some(Unstored::Pending(_))));
    }
    store.remove("v3").await.unwrap();
    let state = store.state();
    assert!(state.fault.is_some() && state.pending == 4, "{state:?}");
    // As after a kill at this moment.
    assert_eq!(found(&path, "v1"), Some(("a".to_owned(), 1)));
    store.shared.full.store(false, Ordering::Relaxed);
    until(|| store.state().fault.is_none()).await;
    assert_eq!(store.state().pending, 0);
    assert_eq!((found(&path, "v1"), found(&path, "v2")), (Some(("ab".to_owned(), 2)), None));
    assert_eq!(store.append("v1", Event::click("c")).await.unstored, None);
    assert_eq!(store.close(), 0);
}

#[tokio::test]
async fn what_the_disk_does_not_take_until_the_end_is_counted() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let store = loaded(&path, &config);
    store.shared.full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        store.append("v1", Event::click("a")).await;
    }
    assert_eq!(store.close(), 3);
    assert!(matches!(store.append("v1", Event::click("a")).await.unstored, Some(Unstored::Pending(_))));
    assert_eq!(found(&path, "v1"), None);
    // The start needs no room.
    let store = DurableStore::open(&path, &config);
    drop(store);
}

#[tokio::test]
async fn an_event_counts_once_before_and_after_a_restart() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let event = |item: &str| Event { key: Some(("e1".into(), item.into())), ..Event::click(item) };
    for round in 0..3 {
        let store = loaded(&path, &config);
        let first = store.append("v1", event("a")).await;
        assert_eq!(first.outcome, if round == 0 { Outcome::Added } else { Outcome::Repeated });
        let again = store.append("v1", event("a")).await;
        assert_eq!((again.outcome, again.session.events), (Outcome::Repeated, 1));
        assert_eq!(store.append("v1", event("b")).await.outcome, Outcome::Conflict);
        let bought =
            Event { is_click: false, key: Some(("order".into(), "purchase a".into())), ..Event::click("a") };
        store.append("v2", bought.clone()).await;
        if round == 1 {
            store.shared.wanted.store(true, Ordering::Relaxed);
            store.append("v3", Event::click("c")).await;
            until(|| path.exists() && !store.shared.snapping.load(Ordering::Relaxed)).await;
        }
        assert_eq!(store.append("v2", bought).await.outcome, Outcome::Repeated);
        assert_eq!(store.close(), 0);
        assert_eq!(
            (found(&path, "v1"), found(&path, "v2")),
            (Some(("a".to_owned(), 1)), Some((String::new(), 0)))
        );
    }
    // Before the sessions of before are read, the first sending is not known yet.
    let store = DurableStore::open(&path, &config).unwrap();
    store.append("v1", event("a")).await;
    until(|| !store.state().loading).await;
    assert_eq!(store.get("v1").await.unwrap().unwrap().items.concat(), "a");
    assert_eq!(store.close(), 0);
    assert_eq!(found(&path, "v1"), Some(("a".to_owned(), 1)));
}

#[tokio::test]
async fn sessions_that_are_imported_are_kept() {
    let config = ServerConfig::default();
    let (_dir, path) = temporary_path();
    let (old, new) = (loaded(&path, &config), path.with_extension("new"));
    for id in 0..700 {
        old.append(&id.to_string(), Event::click("a")).await;
    }
    let store = loaded(&new, &config);
    let (mut cursor, mut count) = (None, 0);
    loop {
        let (moved, next) = old.export(cursor).await.unwrap();
        count += store.import(moved).await.unwrap();
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((count, store.count()), (700, Some(700)));
    assert_eq!(store.close(), 0);
    assert_eq!(found(&new, "699"), Some(("a".to_owned(), 1)));
}
