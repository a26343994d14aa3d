//! Processes that the child makes: victims, daemons, bombs, escapes.

use hotfire_core::observe::{DescendantEnd, Ending, LaunchMode, Observation, StallReason};
use hotfire_sys::signal::{SIGKILL, SIGSEGV, SIGTERM};

use crate::common::case::{assert_exited, crash_of_child, ends, fixtures, run};

fixtures! {
    grandchild_crash: run("grandchild-crash") => grandchild;
    daemon_left: run("daemon-left") => daemon;
    daemon_holds_pipes: run("daemon-holds-pipes") => |seen| {
        left_one_daemon(seen);
        assert_eq!(seen.output.stdout.head, "before\n");
    };
    short_orphan: run("short-orphan") => |seen| {
        assert_exited(seen, 0);
        assert_eq!(ends(seen), [&DescendantEnd::Exited(3)]);
    };
    vfork_exec: run("vfork-exec") => |seen| {
        assert_exited(seen, 0);
        assert_eq!(ends(seen), [&DescendantEnd::Exited(4)]);
        assert_eq!(seen.descendants[0].command, "fixture exit 4");
    };
    fork_bomb: run("fork-bomb").processes(32) => |seen| {
        let stall = seen.stall.as_ref().map(|stall| stall.reason);
        assert_eq!((stall, &seen.ending), (Some(StallReason::ProcessLimit), &Ending::Ended));
        assert!(seen.descendants.len() >= 32, "{}", seen.descendants.len());
        assert!(seen.crash.is_none(), "{:#?}", seen.crash);
    };
    fork_bomb_behind: run("fork-bomb-behind").processes(32) => |seen| {
        assert!(seen.descendants.len() >= 32, "{}", seen.descendants.len());
        assert!(seen.crash.is_none(), "{:#?}", seen.crash);
    };
    many_children: run("many-children 400") => |seen| {
        assert_exited(seen, 0);
        assert!(ends(seen).iter().all(|end| **end == DescendantEnd::Exited(0)));
        assert_eq!(seen.descendants.len(), 400);
    };
    kills_itself: run("kills-itself") => |seen| {
        assert_eq!(seen.ending, Ending::Signaled(SIGKILL), "{seen:#?}");
        assert!(seen.crash.is_none() && seen.stall.is_none(), "{seen:#?}");
    };
    kills_its_group: run("kills-its-group") => |seen| {
        let (crash, info) = crash_of_child(seen, SIGTERM);
        assert_eq!(info.sender, Some(crash.victim.pid), "{crash:#?}");
        assert_eq!(ends(seen), [&DescendantEnd::Signaled(SIGTERM)]);
    };
    kills_its_maker: run("kills-its-maker").ends_its_maker() => |seen| {
        assert_exited(seen, 0);
        assert_eq!(seen.output.stdout.head, "still here\n");
    };
    stops_itself: run("stops-itself").run_ms(500) => |seen| {
        let stall = seen.stall.as_ref().map(|stall| stall.reason);
        assert_eq!((stall, &seen.ending), (Some(StallReason::RunLimit), &Ending::Ended), "{seen:#?}");
        assert!(seen.crash.is_none(), "{seen:#?}");
    };
    stops_and_is_continued: run("stops-and-is-continued") => |seen| {
        assert_exited(seen, 0);
        assert_eq!(seen.output.stdout.head, "went on\n");
    };
    untraced_child: run("untraced-child") => |seen| {
        assert_exited(seen, 0);
        assert!(matches!(ends(seen)[..], [DescendantEnd::LeftBehind { .. }]), "{seen:#?}");
    };
}

fn grandchild(seen: &Observation) {
    assert_eq!(seen.ending, Ending::Exited(0), "{seen:#?}");
    let crash = seen.crash.as_ref().expect("a process of the run crashed");
    assert_eq!(ends(seen), [&DescendantEnd::Exited(2), &DescendantEnd::Signaled(SIGSEGV)]);
    assert!(!crash.victim.is_child && crash.signal == SIGSEGV, "{crash:#?}");
    assert_eq!(crash.victim.pid, seen.descendants[1].pid);
    assert_eq!(seen.descendants[1].parent, seen.descendants[0].pid);
}

/// Double fork: the one between has ended, the daemon was ended by us.
fn left_one_daemon(seen: &Observation) {
    assert_exited(seen, 0);
    let [between, daemon] = seen.descendants.as_slice() else { panic!("{seen:#?}") };
    assert_eq!(between.end, DescendantEnd::Exited(0));
    assert!(daemon.detached && daemon.parent == between.pid, "{daemon:#?}");
    assert!(daemon.command.contains("fixture"), "{daemon:#?}");
    let DescendantEnd::LeftBehind { outlived_us } = daemon.end else { panic!("{daemon:#?}") };
    assert!((200_000..2_000_000).contains(&outlived_us), "{daemon:#?}");
}

fn daemon(seen: &Observation) {
    left_one_daemon(seen);
    assert!(seen.descendants.iter().all(|descendant| descendant.born_in_step == 3), "{seen:#?}");
}
