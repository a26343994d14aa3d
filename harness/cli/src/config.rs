//! `.config/hotfire.toml`: profiles, which are settings that flags give, under a name.
//!
//! Flags win over the named profile, that over `default`, and that over what is built in.
//! Deliberately absent: what the settings do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hotfire_plan::{FileError, FileProblem, parse_duration_us};
use serde::Deserialize;
use toml::Spanned;

use crate::args::{CensusArg, Cli, GitHub, SharedArgs, Trace, Verb};
use crate::error::CliError;

/// The folder of a project's settings.
const FOLDER: &str = ".config";
const FILE: &str = "hotfire.toml";
const BASELINE: &str = "hotfire-baseline.toml";
const CULPRITS: &str = "culprits.toml";
/// The page that has the format.
const PAGE: &str = "docs/baseline.md";
/// The profile that all others inherit from.
const DEFAULT: &str = "default";
/// The profile for CI; it is there without a file, too.
const CI: &str = "ci";

const TRACE: [(&str, Trace); 2] = [("on", Trace::On), ("off", Trace::Off)];
const CENSUS: [(&str, CensusArg); 3] =
    [("off", CensusArg::Off), ("ends", CensusArg::Ends), ("steps", CensusArg::Steps)];
const GITHUB: [(&str, GitHub); 3] =
    [("on", GitHub::On), ("off", GitHub::Off), ("auto", GitHub::Auto)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: BTreeMap<String, FileProfile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileProfile {
    jobs: Option<Spanned<u32>>,
    runs: Option<Spanned<u32>>,
    timeout: Option<Spanned<String>>,
    beat: Option<Spanned<String>>,
    junit: Option<PathBuf>,
    github: Option<Spanned<String>>,
    out: Option<PathBuf>,
    trace: Option<Spanned<String>>,
    ledger: Option<bool>,
    census: Option<Spanned<String>>,
    deny_skips: Option<bool>,
    baseline: Option<PathBuf>,
    strict_fixed: Option<bool>,
}

/// Settings; what is not set stays as it is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    jobs: Option<u32>,
    runs: Option<u32>,
    timeout_ms: Option<u64>,
    beat_ms: Option<u64>,
    junit: Option<PathBuf>,
    github: Option<GitHub>,
    out: Option<PathBuf>,
    trace: Option<Trace>,
    ledger: Option<bool>,
    census: Option<CensusArg>,
    deny_skips: Option<bool>,
    baseline: Option<PathBuf>,
    strict_fixed: Option<bool>,
    /// The folder that `.config` stands in; empty: the current one.
    root: PathBuf,
}

impl Profile {
    /// The profile that the command names, for the current folder. Verbs that need none get none.
    ///
    /// # Errors
    /// The file cannot be read, is wrong, or has no such profile.
    pub(crate) fn load(cli: &Cli) -> Result<Self, CliError> {
        let needs_one =
            matches!(cli.verb, Verb::Run(_) | Verb::Replay(_) | Verb::Show(_) | Verb::Accept(_));
        if !needs_one {
            return Ok(Self::default());
        }
        let name = cli.profile.as_str();
        let root = root(&std::env::current_dir().unwrap_or_default());
        let path = root.join(FOLDER).join(FILE);
        let mut profiles = match std::fs::read_to_string(&path) {
            Ok(text) => parse(&text).map_err(|error| {
                CliError::Text(error.render(&path.display().to_string(), &text))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                let help = "profiles stand there; docs/baseline.md has the format";
                return Err(CliError::Read { path, error, help });
            }
        };
        let default = profiles.remove(DEFAULT).unwrap_or_default();
        let named = match profiles.remove(name) {
            Some(named) => named.over(built_in(name)),
            None if [DEFAULT, CI].contains(&name) => built_in(name),
            None => {
                let mut known: Vec<&str> = profiles.keys().map(String::as_str).collect();
                known.extend([DEFAULT, CI]);
                known.sort_unstable();
                known.dedup();
                return Err(CliError::Text(format!(
                    "no profile is named `{name}`; known: {}\n\
                     help: add [profile.{name}] to {}",
                    known.join(", "),
                    path.display()
                )));
            }
        };
        Ok(named.over(default).below(&root))
    }

    /// These settings, and where they say nothing those of `other`.
    fn over(self, other: Self) -> Self {
        Self {
            jobs: self.jobs.or(other.jobs),
            runs: self.runs.or(other.runs),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            beat_ms: self.beat_ms.or(other.beat_ms),
            junit: self.junit.or(other.junit),
            github: self.github.or(other.github),
            out: self.out.or(other.out),
            trace: self.trace.or(other.trace),
            ledger: self.ledger.or(other.ledger),
            census: self.census.or(other.census),
            deny_skips: self.deny_skips.or(other.deny_skips),
            baseline: self.baseline.or(other.baseline),
            strict_fixed: self.strict_fixed.or(other.strict_fixed),
            root: self.root,
        }
    }

    /// Paths in the file count from the folder that `.config` stands in.
    fn below(self, root: &Path) -> Self {
        Self {
            junit: self.junit.map(|file| root.join(file)),
            out: self.out.map(|out| root.join(out)),
            baseline: self.baseline.map(|file| root.join(file)),
            root: root.to_owned(),
            ..self
        }
    }

    /// The file of known failures.
    pub(crate) fn baseline(&self) -> PathBuf {
        self.baseline.clone().unwrap_or_else(|| self.root.join(FOLDER).join(BASELINE))
    }

    /// Whether the file says which that is.
    pub(crate) fn names_baseline(&self) -> bool {
        self.baseline.is_some()
    }

    /// The command line with these settings where it says nothing.
    pub(crate) fn complete(&self, cli: &Cli) -> Cli {
        let mut cli = cli.clone();
        let out = match &mut cli.verb {
            Verb::Run(args) => {
                args.runs = args.runs.or(self.runs);
                args.deny_skips |= self.deny_skips == Some(true);
                self.complete_shared(&mut args.shared);
                &mut args.shared.out
            }
            Verb::Replay(args) => {
                self.complete_shared(&mut args.shared);
                &mut args.shared.out
            }
            Verb::Show(args) => &mut args.out,
            Verb::Accept(args) => &mut args.out,
            _ => return cli,
        };
        *out = out.take().or(self.out.clone());
        cli
    }

    fn complete_shared(&self, flags: &mut SharedArgs) {
        flags.jobs = flags.jobs.or(self.jobs);
        flags.timeout = flags.timeout.or(self.timeout_ms);
        flags.beat = flags.beat.or(self.beat_ms);
        flags.junit = flags.junit.take().or(self.junit.clone());
        flags.github = flags.github.or(self.github);
        flags.no_ledger |= self.ledger == Some(false);
        flags.trace = flags.trace.or(self.trace);
        flags.census = flags.census.or(self.census);
        flags.strict_fixed = flags.strict_fixed.or(self.strict_fixed);
    }
}

/// What a profile is without a file.
fn built_in(name: &str) -> Profile {
    Profile { strict_fixed: (name == CI).then_some(true), ..Profile::default() }
}

/// The folder whose `.config` has files of ours: the current one, or the nearest above it within
/// the repository; else the current one, as an empty path.
fn root(current: &Path) -> PathBuf {
    root_with(current, &[FILE, BASELINE])
}

/// The same for any of these files.
fn root_with(current: &Path, files: &[&str]) -> PathBuf {
    let has = |folder: &Path| {
        let settings = folder.join(FOLDER);
        files.iter().any(|file| settings.join(file).exists())
    };
    if has(current) {
        return PathBuf::new();
    }
    // Without a repository no folder above is known to be the project's.
    let Some(repository) = current.ancestors().find(|folder| folder.join(".git").exists()) else {
        return PathBuf::new();
    };
    let within = current.ancestors().take_while(|folder| folder.starts_with(repository));
    within.into_iter().find(|folder| has(folder)).map(Path::to_owned).unwrap_or_default()
}

/// The project's table of stages, for the current folder.
pub(crate) fn culprits() -> PathBuf {
    let current = std::env::current_dir().unwrap_or_default();
    root_with(&current, &[CULPRITS]).join(FOLDER).join(CULPRITS)
}

fn parse(text: &str) -> Result<BTreeMap<String, Profile>, FileError> {
    let file: File =
        toml::from_str(text).map_err(|error| FileError::of_toml(&error, text, PAGE))?;
    let profiles = file.profile.into_iter();
    profiles.map(|(name, profile)| Ok((name, check(profile)?))).collect()
}

fn check(file: FileProfile) -> Result<Profile, FileError> {
    Ok(Profile {
        jobs: file.jobs.map(|jobs| FileError::from_one_to(&jobs, 256, PAGE)).transpose()?,
        runs: file.runs.map(|runs| FileError::from_one_to(&runs, 100_000, PAGE)).transpose()?,
        timeout_ms: file.timeout.map(|time| milliseconds(&time)).transpose()?,
        beat_ms: file.beat.map(|time| milliseconds(&time)).transpose()?,
        junit: file.junit,
        github: file.github.map(|word| listed(&word, &GITHUB)).transpose()?,
        out: file.out,
        trace: file.trace.map(|word| listed(&word, &TRACE)).transpose()?,
        ledger: file.ledger,
        census: file.census.map(|word| listed(&word, &CENSUS)).transpose()?,
        deny_skips: file.deny_skips,
        baseline: file.baseline,
        strict_fixed: file.strict_fixed,
        root: PathBuf::new(),
    })
}

fn milliseconds(value: &Spanned<String>) -> Result<u64, FileError> {
    match parse_duration_us(value.get_ref()) {
        Some(micros) if micros >= 1000 => Ok(micros / 1000),
        _ => {
            let what = format!("`{}` is no time of at least 1ms", value.get_ref());
            Err(bad_value(what, "write a whole number with ms or s, e.g. \"30s\"", value.span()))
        }
    }
}

/// What a word stands for.
fn listed<T: Copy>(value: &Spanned<String>, words: &[(&'static str, T)]) -> Result<T, FileError> {
    let found = words.iter().find(|(word, _)| word == value.get_ref());
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        FileError::unknown_word("word", value.get_ref(), &known, value.span(), PAGE)
    })
}

fn bad_value(what: String, help: &'static str, span: Range<usize>) -> FileError {
    FileError::new(FileProblem::BadValue { what, help }, span, PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_inherits_from_default() {
        let text = "[profile.default]\njobs = 2\nruns = 3\ntimeout = \"2s\"\n\
                    [profile.ci]\nruns = 20\ntrace = \"off\"\nledger = false\n\
                    census = \"steps\"\ndeny-skips = true\n";
        let mut profiles = parse(text).unwrap();
        let default = profiles.remove(DEFAULT).unwrap();
        let ci = profiles.remove(CI).unwrap().over(built_in(CI)).over(default.clone());
        assert_eq!((ci.jobs, ci.runs, ci.timeout_ms), (Some(2), Some(20), Some(2000)));
        assert_eq!((ci.trace, ci.ledger), (Some(Trace::Off), Some(false)));
        assert_eq!((ci.census, ci.deny_skips), (Some(CensusArg::Steps), Some(true)));
        assert_eq!(ci.strict_fixed, Some(true), "built in");
        assert_eq!(default.over(built_in(DEFAULT)).strict_fixed, None);
        let lax = parse("[profile.ci]\nstrict-fixed = false\n").unwrap().remove(CI).unwrap();
        assert_eq!(lax.over(built_in(CI)).strict_fixed, Some(false));
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, told) in [
            ("[profile.ci]\nrnus = 3\n", "f:2:1: unknown key `rnus`"),
            ("[profiles.ci]\nruns = 3\n", "f:1:2: unknown key `profiles`"),
            ("[profile.ci]\nruns = 0\n", "f:2:8: 0 is not from 1 to 100000"),
            ("[profile.ci]\ntimeout = \"5\"\n", "f:2:11: `5` is no time of at least 1ms"),
            ("[profile.ci]\ntrace = \"of\"\n", "f:2:9: unknown word `of`"),
            ("[profile.ci]\ncensus = \"end\"\n", "f:2:10: unknown word `end`"),
            ("[profile.ci]\ngithub = \"yes\"\n", "f:2:10: unknown word `yes`"),
            ("[profile.ci]\njobs = \"2\"\n", "f:2:8: "),
        ] {
            let rendered = parse(text).unwrap_err().render("f", text);
            assert!(rendered.starts_with(told), "{rendered}");
            assert!(rendered.contains("\nhelp: "), "{rendered}");
        }
        let text = "[profile.ci]\nrnus = 3\n";
        let rendered = parse(text).unwrap_err().render("f", text);
        assert!(rendered.ends_with("help: did you mean `runs`?"), "{rendered}");
    }

    #[test]
    fn wrong_types_are_told_with_what_to_write() {
        for (line, help) in [
            ("jobs = \"2\"", "write `jobs = 2`"),
            ("jobs = \"all\"", "write `jobs = 1`"),
            ("runs = -3", "write `runs = 1`"),
            ("runs = 2.5", "write `runs = 1`"),
            ("timeout = 30", "write `timeout = \"30s\"`"),
            ("trace = false", "write `trace = \"off\"`"),
            ("junit = 3", "write `junit = \"3\"`"),
            ("junit = [\"a\"]", "write `junit = \"…\"`"),
            ("ledger = \"false\"", "write `ledger = false`"),
            ("deny-skips = \"yes\"", "write `deny-skips = true`"),
        ] {
            let text = format!("[profile.ci]\n{line}\n");
            let rendered = parse(&text).unwrap_err().render("f", &text);
            assert!(rendered.starts_with("f:2:"), "{rendered}");
            assert!(rendered.contains(&format!("\nhelp: {help}; {PAGE}")), "{rendered}");
        }
    }

    #[test]
    fn the_folder_is_sought_up_to_the_repository() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("repository/a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |name: &str| {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        write(".config/hotfire.toml");
        assert_eq!(root(&inner), PathBuf::new(), "no repository");
        std::fs::create_dir(place.path().join("repository/.git")).unwrap();
        assert_eq!(root(&inner), PathBuf::new(), "what lies above the repository is not its");
        write("repository/.config/hotfire-baseline.toml");
        assert_eq!(root(&inner), place.path().join("repository"));
        write("repository/a/b/.config/hotfire.toml");
        assert_eq!(root(&inner), PathBuf::new(), "the nearest");
    }
}
