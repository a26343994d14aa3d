//! SIGKILL of our own processes at moments that nobody chose: of the front, nothing remains; of a
//! supervisor, one observation is lost and the campaign goes on.

use std::time::Duration;

use serde_json::Value;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::{LIMIT, Workshop, look_again};

pub(crate) const CASES: &[Case] = &[
    ("kill-front-nothing-remains", front_nothing_remains),
    ("kill-supervisor-campaign-goes-on", supervisor_campaign_goes_on),
];

/// Kills without `HOTFIRE_TEST_KILLS`.
const KILLS: u64 = 5;
/// After this, no process of ours may be alive.
const GRACE: Duration = Duration::from_secs(1);
/// Latest moment of a kill, counted from the first line.
const LATEST_US: u64 = 1_500_000;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    /// From the clock, or from `HOTFIRE_TEST_SEED`; printed, so that it can be repeated.
    fn new(test: &str) -> Self {
        let drawn = hotfire_sys::monotonic_ns();
        let seed = number("HOTFIRE_TEST_SEED").unwrap_or(drawn);
        eprintln!("{test}: HOTFIRE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn kills() -> u64 {
    number("HOTFIRE_TEST_KILLS").unwrap_or(KILLS)
}

fn front_nothing_remains() {
    let mut random = Random::new("kill-front");
    let workshop = Workshop::new();
    let mut in_flight = 0;
    for kill in 0..kills() {
        let mut started = workshop.start(&["run", "-j2", "--runs", "20", "--engine", "reference"]);
        // The first kill of all may hit the start itself.
        if kill > 0 {
            started.wait_for("seed");
        }
        started.run_for(Duration::from_micros(random.below(LATEST_US)));
        let own = started.pid();
        let told = started.stderr();
        in_flight += usize::from(workshop.processes().len() > 1);
        started.kill();
        let survivors = workshop.survivors(GRACE);
        assert!(survivors.is_empty(), "kill {kill}: alive {GRACE:?} later: {survivors:?}");
        let left = workshop.scratch_folders();
        let name = format!("hotfire-{own}-");
        if kill > 0 {
            let names: Vec<_> = left.iter().map(|path| path.file_name().unwrap()).collect();
            assert_eq!(names.len(), 1, "kill {kill}: {names:?}");
            assert!(names[0].to_string_lossy().starts_with(&name), "kill {kill}: {names:?}");
        }
        // The start before this one left a folder, which this one had to remove and to tell.
        assert!(kill < 2 || told.contains("warning: removed 1 folder"), "kill {kill}: {told}");
    }
    assert!(in_flight > 0, "no kill met a campaign at work");
    let last = workshop.run(&["replay", "create a = reference; exit", "--runs", "1"]);
    assert_eq!(last.status, 0, "{}", last.stderr);
    assert!(last.stderr.contains("warning: removed 1 folder "), "{}", last.stderr);
    assert!(workshop.scratch_folders().is_empty());
}

fn supervisor_campaign_goes_on() {
    let mut random = Random::new("kill-supervisor");
    for kill in 0..kills() {
        let workshop = Workshop::new();
        let arguments = ["run", "-j2", "--runs", "40", "canary", "fail-init", "swap-cleanup"];
        let arguments = [arguments.as_slice(), &["--engine", "reference", "--json", "out.json"]];
        let mut started = workshop.start(&arguments.concat());
        started.wait_for("seed");
        started.run_for(Duration::from_micros(random.below(LATEST_US / 10)));
        let victim = supervisor(&workshop);
        hotfire_sys::end_process(victim).unwrap();
        let done = started.finish(LIMIT);
        let report = workshop.json("out.json");
        assert_valid(&report);
        // A plan that was to be caught is caught by its other runs.
        let status = if assert_one_lost(&report) { 97 } else { 0 };
        assert_eq!(done.status, status, "kill {kill}: {}", done.stderr);
        assert_eq!(done.stderr.contains("BLIND"), status == 97, "{}", done.stderr);
        assert!(done.stderr.contains(", 1 of them blind, "), "kill {kill}: {}", done.stderr);
        assert!(workshop.survivors(Duration::ZERO).is_empty());
        assert!(workshop.scratch_folders().is_empty());
    }
}

/// A supervisor that has started.
fn supervisor(workshop: &Workshop) -> i32 {
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        let found = workshop.processes().into_iter().find(|(_, line)| line.contains("__supervise"));
        if let Some((pid, _)) = found {
            return pid;
        }
        assert!(std::time::Instant::now() < deadline, "no supervisor");
        look_again();
    }
}

/// One run is blind, for the reason that its observer was lost; every other is judged as ever.
/// Whether that makes a plan blind.
fn assert_one_lost(report: &Value) -> bool {
    assert_eq!(report["summary"]["blind"], 1, "{}", report["summary"]);
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 8);
    let (blind, judged): (Vec<&Value>, Vec<&Value>) =
        results.iter().partition(|one| one["verdict"] == "blind");
    assert!(blind.len() <= 1, "{blind:#?}");
    for result in judged {
        assert_eq!(result["verdict"], "as-expected", "{result:#}");
        assert!(result["runs"].as_u64().unwrap() >= 39, "{result:#}");
    }
    let lost = report["findings"].as_array().unwrap().iter().find(|one| one["code"] == "E902");
    let evidence = lost.unwrap()["evidence"].to_string();
    assert!(evidence.contains("the supervisor ended"), "{evidence}");
    blind.len() == 1
}
