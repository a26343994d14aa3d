//! Who is who: every thread and process that the supervisor traces.

use std::collections::{BTreeMap, BTreeSet};

/// What a process is to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The program starter.
    Launcher,
    /// The host that forks children.
    Forkserver,
    /// The child: the run's first process.
    Root,
    /// The n-th process that the child made.
    Descendant(usize),
}

impl Role {
    /// Whether the process belongs to a run (and is no process of ours).
    pub(super) fn is_of_run(self) -> bool {
        matches!(self, Self::Root | Self::Descendant(_))
    }
}

/// All tracees.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    threads: BTreeMap<i32, i32>,
    processes: BTreeMap<i32, Role>,
    /// Tasks met at their first stop, whose parent's event is still to come.
    unannounced: BTreeSet<i32>,
}

impl Tasks {
    /// A task is met before its parent's event.
    pub(super) fn met_early(&mut self, tid: i32) {
        self.unannounced.insert(tid);
    }

    /// Whether a parent's event tells of a task that is known, or was: one met early may have
    /// ended before its parent's event is read.
    pub(super) fn is_old_news(&mut self, tid: i32) -> bool {
        self.unannounced.remove(&tid) || self.knows(tid)
    }

    pub(super) fn add_process(&mut self, pid: i32, role: Role) {
        self.threads.insert(pid, pid);
        self.processes.insert(pid, role);
    }

    pub(super) fn add_thread(&mut self, tid: i32, process: i32) {
        self.threads.insert(tid, process);
    }

    pub(super) fn knows(&self, tid: i32) -> bool {
        self.threads.contains_key(&tid)
    }

    /// The process of a thread.
    pub(super) fn process_of(&self, tid: i32) -> Option<i32> {
        self.threads.get(&tid).copied()
    }

    pub(super) fn role(&self, pid: i32) -> Option<Role> {
        self.processes.get(&pid).copied()
    }

    /// A thread has ended. Returns the role of the process when the whole process has.
    pub(super) fn remove(&mut self, tid: i32) -> Option<Role> {
        self.threads.remove(&tid);
        let role = self.processes.remove(&tid)?;
        self.threads.retain(|_, process| *process != tid);
        Some(role)
    }

    /// A thread is not ours to watch any more; so is its process with its last one.
    pub(super) fn release(&mut self, tid: i32) {
        let Some(process) = self.threads.remove(&tid) else { return };
        if !self.threads.values().any(|other| *other == process) {
            self.processes.remove(&process);
        }
    }

    /// Another thread exec'ed and took over the process's id; `former` is its id before.
    pub(super) fn exec(&mut self, pid: i32, former: i32) {
        self.threads.retain(|tid, process| *process != pid || *tid == pid);
        if former != pid {
            self.threads.remove(&former);
        }
        self.threads.insert(pid, pid);
    }

    /// The living processes of the run.
    pub(super) fn of_run(&self) -> Vec<(i32, Role)> {
        let own = self.processes.iter().filter(|(_, role)| role.is_of_run());
        own.map(|(pid, role)| (*pid, *role)).collect()
    }

    /// How many threads each process has.
    pub(super) fn thread_counts(&self) -> BTreeMap<i32, u32> {
        let mut counts = BTreeMap::new();
        for process in self.threads.values() {
            *counts.entry(*process).or_insert(0) += 1;
        }
        counts
    }

    /// The living threads of one process, its leader first.
    pub(super) fn threads_of(&self, pid: i32) -> Vec<i32> {
        let own = self.threads.iter().filter(|(_, process)| **process == pid);
        let mut threads: Vec<i32> = own.map(|(tid, _)| *tid).collect();
        threads.sort_by_key(|tid| *tid != pid);
        threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_ended_before_its_parents_event_does_not_come_back() {
        let mut tasks = Tasks::default();
        tasks.add_process(7, Role::Root);
        tasks.met_early(7);
        assert_eq!(tasks.remove(7), Some(Role::Root));
        assert!(tasks.is_old_news(7));
        assert!(!tasks.is_old_news(7), "the next process with this id is a new one");
    }

    #[test]
    fn a_process_is_released_with_its_last_thread() {
        let mut tasks = Tasks::default();
        tasks.add_process(7, Role::Descendant(0));
        tasks.add_thread(8, 7);
        tasks.release(7);
        assert_eq!(tasks.of_run(), [(7, Role::Descendant(0))]);
        tasks.release(8);
        assert_eq!(tasks.of_run(), []);
    }

    #[test]
    fn exec_by_another_thread_leaves_one_thread() {
        let mut tasks = Tasks::default();
        tasks.add_process(7, Role::Root);
        tasks.add_thread(8, 7);
        tasks.add_thread(9, 7);
        tasks.exec(7, 9);
        assert_eq!(tasks.threads_of(7), [7]);
        assert_eq!(tasks.role(7), Some(Role::Root));
    }
}
