//! What a command was doing by the lines that it printed: the built-in table, a project's own, and the
//! stack, which wins.
//!
//! Deliberately absent: how single words are told (unit tests of the diagnosis).

use std::path::PathBuf;

use serde_json::Value;

use crate::Case;
use crate::classes::built;
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("stage-by-its-words", by_words),
    ("stage-by-a-table", by_table),
    ("stage-table-with-mistakes", mistakes),
];

const PROGRAM: (&str, &str) = ("stages.c", include_str!("../fixtures/stages.c"));
const TABLE: &str = ".config/culprits.toml";

fn program() -> PathBuf {
    built("stages", &[PROGRAM], &["cc", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
}

fn finding(workshop: &Workshop, flags: &[&str], line: &str, function: &str) -> Value {
    let program = program();
    let command = ["--json", "out.json", "--", program.to_str().unwrap(), line, function];
    let done = workshop.run(&[&["exec"], flags, &command[..]].concat());
    assert_eq!(done.status, 100, "{}", done.stderr);
    workshop.json("out.json")["findings"][0].clone()
}

fn has_evidence(finding: &Value, text: &str) -> bool {
    let lines = finding["evidence"].as_array().unwrap();
    lines.iter().any(|line| line["text"].as_str().unwrap().contains(text))
}

fn by_words() {
    let workshop = Workshop::new();
    let silent = finding(&workshop, &[], "nothing of note", "read_part");
    assert_eq!(silent["stage"], Value::Null);
    let told = finding(&workshop, &[], "Loading the tiny model", "read_part");
    let stage = &told["stage"];
    assert_eq!([&stage["name"], &stage["place"]], ["load", "built in"], "{stage}");
    assert_eq!(stage["line"], "Loading the tiny model");
    assert!(has_evidence(&told, "says stage `load`"), "{told:#}");
    assert_eq!(told["id"], silent["id"], "what is printed is no part of an identity");
    assert_eq!(told["culprit"], silent["culprit"]);
    // The stack wins.
    let other = finding(&workshop, &[], "Loading the tiny model", "generate_text");
    let stage = &other["stage"];
    assert_eq!([&stage["name"], &stage["place"]], ["generate", "stack"], "{stage}");
    assert_eq!(stage["line"], Value::Null);
    assert!(has_evidence(&other, "the stack says `generate` (generate_text), and it wins"));
}

fn by_table() {
    let workshop = Workshop::new();
    let table = "# ours\n[[stage]]\npattern = \"opening shard\"\nname = \"shards\"\n\
                 module = \"libshard\"\n";
    std::fs::create_dir_all(workshop.path(".config")).unwrap();
    workshop.write(TABLE, table);
    let line = "loading: Opening shard 3";
    let told = finding(&workshop, &[], line, "read_part");
    let stage = &told["stage"];
    assert_eq!([&stage["name"], &stage["place"]], ["shards", ".config/culprits.toml:2"]);
    // The stack names another module.
    assert!(told["culprit"]["module"].as_str().unwrap().starts_with("stages"), "{told:#}");
    assert!(has_evidence(&told, "names libshard for this stage, the stack stages"), "{told:#}");
    // Without a stack nothing contradicts it.
    let blind = finding(&workshop, &["--trace", "off"], line, "read_part");
    assert_eq!(blind["culprit"]["module"], "libshard");
    assert!(has_evidence(&blind, "no stack names another"), "{blind:#}");
    // A table that a flag names is used in its place.
    workshop.write("other.toml", "[[stage]]\npattern = \"shard\"\nname = \"other\"\n");
    let told = finding(&workshop, &["--culprits", "other.toml"], line, "read_part");
    assert_eq!(told["stage"]["place"], "other.toml:1");
}

fn mistakes() {
    let workshop = Workshop::new();
    workshop.write("bad.toml", "[[stage]]\npattern = \"x\"\nname = \"y\"\nmodul = \"z\"\n");
    let refused = |file: &str| {
        let done = workshop.run(&["exec", "--culprits", file, "--", "echo", "it ran"]);
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{}", done.stderr);
        done.stderr
    };
    let told = refused("bad.toml");
    assert!(told.contains("bad.toml:4:1: unknown key `modul`"), "{told}");
    assert!(told.contains("did you mean `module`?"), "{told}");
    assert!(refused("missing.toml").contains("cannot read missing.toml"));
}
