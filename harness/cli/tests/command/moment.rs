//! What is seen of a process is of one moment, and of the process that it is told of.

use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("mappings-are-those-of-the-moment-in-which-threads-stand", stands),
    ("what-the-program-before-an-exec-had-mapped-is-no-cause", exec),
    ("a-crash-is-held-for-so-long-and-no-longer", endless),
    ("an-address-in-a-stack-is-told-with-its-thread", stacks),
    ("the-length-of-a-mapped-file-is-that-of-the-process-own-mounts", mounts),
];

/// A thread that makes code, runs it and unmaps it, all the time.
const COMES_AND_GOES: &str = r"
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xb9, 0,    0x80, 0x01,
                               0,    0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};
static void *make(void *nothing) {
    for (unsigned long round = 0;; round++) {
        void *place = (void *)(0x100000000000ul + round % 100000 * 0x10000);
        unsigned char *page = mmap(place, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(page, code, sizeof code);
        ((void (*)(void))page)();
        munmap(page, 4096);
    }
    return nothing;
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, make, 0);
    usleep(30000);
    *(volatile int *)0 = 1;
}
";

/// Calls itself in one library after the other, and dies in the last one.
const FROM_LIBRARY_TO_LIBRARY: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int go(int left) {
    if (left == 0) return *(volatile int *)0;
    char name[32];
    snprintf(name, sizeof name, "./library-%d", left - 1);
    void *library = dlopen(name, RTLD_NOW);
    return 1 + ((int (*)(int))dlsym(library, "go"))(left - 1);
}
int main(int count, char **words) { return count == 2 ? go(atoi(words[1])) : 2; }
"#;
const LIBRARIES: usize = 100;
/// What may be read of it while it is held, and what a busy machine may add, nanoseconds.
const HELD_NS_MAX: u64 = 12_000_000_000;

/// Each library says that it has millions of symbols: all of them would take a minute.
fn endless() {
    let workshop = Workshop::new();
    build(&workshop, "calls", FROM_LIBRARY_TO_LIBRARY, &["-ldl"]);
    let flags = ["-shared", "-fPIC", "-Wl,--build-id=none", "-ldl"];
    build(&workshop, "library", FROM_LIBRARY_TO_LIBRARY, &flags);
    let mut bytes = std::fs::read(workshop.path("library")).unwrap();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (sections, end) = (word(&bytes, 40) as usize, bytes.len() as u64);
    let is_symbols = |at: &usize| bytes[*at + 4..*at + 8] == 2_u32.to_le_bytes();
    let symbols = (sections..bytes.len()).step_by(64).find(is_symbols).unwrap();
    // A hole behind the end of the file.
    let length = 24_u64 * 15_000_000;
    bytes[symbols + 24..symbols + 32].copy_from_slice(&end.to_le_bytes());
    bytes[symbols + 32..symbols + 40].copy_from_slice(&length.to_le_bytes());
    for number in 0..LIBRARIES {
        let path = workshop.path(&format!("library-{number}"));
        std::fs::write(&path, &bytes).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(end + length).unwrap();
    }
    let done = workshop.run(&[
        "exec",
        "--json",
        "out.json",
        "--bundle",
        "b.hotfire",
        "--",
        "./calls",
        &LIBRARIES.to_string(),
    ]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert_eq!(workshop.json("out.json")["findings"][0]["class"], "null-dereference");
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(workshop.path("b.hotfire")).unwrap()).unwrap();
    let text = bundle.to_string();
    assert!(text.contains("was not looked through to its end: out of time"), "{text}");
    let held = text.split_once("\"held_ns\":").unwrap().1;
    let held: String = held.chars().take_while(char::is_ascii_digit).collect();
    assert!(held.parse::<u64>().unwrap() < HELD_NS_MAX, "{held}");
}

/// Jumps into the stack of another thread, into its own, or reads below another thread's.
const INTO_STACKS: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>
static unsigned char *volatile lent;
static void *lend(void *nothing) {
    unsigned char code[64] = {0xc3};
    for (lent = code;;) pause();
    return nothing;
}
int main(int count, char **words) {
    unsigned char own[64] = {0xc3};
    pthread_attr_t attributes;
    size_t bytes;
    void *stack;
    pthread_t lender;
    pthread_create(&lender, 0, lend, 0);
    pthread_setname_np(lender, "lender");
    while (!lent) usleep(1000);
    pthread_getattr_np(lender, &attributes);
    pthread_attr_getstack(&attributes, &stack, &bytes);
    if (count == 1) return *((volatile char *)stack - 16);
    unsigned char *volatile place = words[1][0] == 'o' ? own : lent;
    ((void (*)(void))place)();
    return own[1];
}
"#;

fn stacks() {
    let workshop = Workshop::new();
    build(&workshop, "into", INTO_STACKS, &[]);
    let near = |words: &[&str]| {
        let command = [&["exec", "--json", "out.json", "--", "./into"], words].concat();
        let done = workshop.run(&command);
        assert_eq!(done.status, 100, "{}", done.stderr);
        let finding = workshop.json("out.json")["findings"][0].clone();
        let (address, pid) = (finding["address"].as_str().unwrap(), &finding["victim"]["pid"]);
        let near = &finding["near"];
        let whose = match near["tid"] == *pid {
            true => "the crashing thread itself".to_owned(),
            false => format!("thread {} `{}`", near["tid"], near["thread"].as_str().unwrap()),
        };
        let what = near["what"].as_str().unwrap();
        let line = format!("{address} lies in the {what} of {whose}");
        assert!(done.stderr.contains(&line), "{line}: {}", done.stderr);
        (what.to_owned(), near["thread"].as_str().unwrap().to_owned())
    };
    let told = |what: &str, thread: &str| (what.to_owned(), thread.to_owned());
    assert_eq!(near(&["another"]), told("stack", "lender"));
    assert_eq!(near(&["own"]), told("stack", "into"));
    assert_eq!(near(&[]), told("guard below the stack", "lender"));
    // An address in no stack.
    workshop.run(&["exec", "--json", "out.json", "--", "sh", "-c", "kill -SEGV $$"]);
    assert!(workshop.json("out.json")["findings"][0].get("near").is_none());
}

fn build(workshop: &Workshop, name: &str, source: &str, flags: &[&str]) {
    workshop.write(&format!("{name}.c"), source);
    let file = format!("{name}.c");
    let built = Command::new("cc")
        .args([&["-O1", "-pthread", "-o", name, &file], flags].concat())
        .current_dir(workshop.path("."))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// Of mappings that were read before the threads stood, one in four of these had none for its code.
fn stands() {
    let workshop = Workshop::new();
    build(&workshop, "comes", COMES_AND_GOES, &[]);
    for _ in 0..4 {
        let eight = "for turn in 1 2 3 4 5 6 7 8; do ./comes; done; true";
        workshop.run(&["exec", "--bundle", "b.hotfire", "--", "sh", "-c", eight]);
        let text = std::fs::read_to_string(workshop.path("b.hotfire")).unwrap();
        assert!(text.contains("\"comes\""), "{text}");
        assert!(!text.contains("no mapping holds"), "{text}");
    }
}

/// A program that calls what is no code of its own, where the one before it had some.
fn exec() {
    let workshop = Workshop::new();
    let call = "#include <stdlib.h>\n\
                int main(int n, char **w) { ((void (*)(void))strtoul(w[n - 1], 0, 16))(); }";
    // Neither is where the other one is.
    build(&workshop, "call", call, &["-no-pie", "-Wl,-Ttext-segment=0x10000000"]);
    let wait = "#include <unistd.h>\n\
                int main(void) { usleep(300000); execl(\"./call\", \"call\", \"20001000\", (char *)0); }";
    build(&workshop, "wait", wait, &["-no-pie", "-Wl,-Ttext-segment=0x20000000"]);
    workshop.run(&["exec", "--json", "out.json", "--", "./wait"]);
    let finding = &workshop.json("out.json")["findings"][0];
    assert_eq!(finding["code"], "C101", "{finding}");
    assert_ne!(finding["class"], "code-unloaded", "{finding}");
}

/// Where this may not be tried, it is said.
fn mounts() {
    let may = Command::new("unshare").args(["-m", "true"]).output();
    if !may.is_ok_and(|done| done.status.success()) {
        eprintln!("SKIP mounts: unshare -m is not allowed here; help: run as root");
        return;
    }
    let workshop = Workshop::new();
    let read = "#include <fcntl.h>\n#include <sys/mman.h>\n\
                int main(void) {\n\
                volatile char *p = mmap(0, 32768, 1, MAP_SHARED, open(\"m/f\", O_RDONLY), 0);\n\
                return p[8192]; }";
    build(&workshop, "read", read, &[]);
    std::fs::create_dir(workshop.path("m")).unwrap();
    workshop.write("m/f", &"x".repeat(1 << 20));
    let script = "mount -t tmpfs t m && head -c 4096 /dev/zero > m/f; exec ./read";
    workshop.run(&["exec", "--json", "out.json", "--", "unshare", "-m", "sh", "-c", script]);
    let finding = &workshop.json("out.json")["findings"][0];
    assert_eq!(finding["class"], "file-truncated", "{finding}");
}
