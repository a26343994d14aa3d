//! What each step answers: results, errors, and the same result every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotfire_host::{Engine, EngineError, EngineState, Outcome};

use crate::support::{create, perform, torn};

fn engine(settings: &[&str]) -> Arc<dyn Engine> {
    create(settings).unwrap()
}

fn ok(engine: &Arc<dyn Engine>, step: &str) -> Outcome {
    perform(&**engine, step).unwrap_or_else(|error| panic!("{step}: {error}"))
}

fn illegal(engine: &Arc<dyn Engine>, step: &str, reason: &str) {
    match perform(&**engine, step) {
        Err(EngineError::Illegal(text)) => assert!(text.contains(reason), "{step}: {text}"),
        other => panic!("{step}: {other:?} is not illegal"),
    }
}

fn failed(engine: &Arc<dyn Engine>, step: &str, reason: &str) {
    match perform(&**engine, step) {
        Err(EngineError::Failed(text)) => assert!(text.contains(reason), "{step}: {text}"),
        other => panic!("{step}: {other:?} did not fail"),
    }
}

#[test]
fn a_life_from_create_to_cleanup() {
    let engine = engine(&[]);
    assert_eq!(engine.state(), EngineState::Created);
    ok(&engine, "load tiny");
    assert_eq!(engine.state(), EngineState::Ready);
    let text = ok(&engine, "generate 16");
    assert_eq!((text.count, text.valid.as_slice()), (16, [text.digest].as_slice()));
    ok(&engine, "unload");
    assert_eq!(engine.state(), EngineState::Created);
    ok(&engine, "cleanup");
    ok(&engine, "cleanup");
    assert_eq!(engine.state(), EngineState::Released);
}

#[test]
fn results_hang_on_the_model_the_prompt_and_the_count_alone() {
    let first = engine(&[]);
    ok(&first, "load tiny");
    let plain = ok(&first, "generate 16");
    assert_eq!(ok(&first, "generate"), plain);
    assert_ne!(ok(&first, "generate 17").digest, plain.digest);
    assert_ne!(ok(&first, "generate 16 prompt=x").digest, plain.digest);
    assert_eq!(ok(&first, "generate 16 prompt=HotFire"), plain, "prompts are folded");
    for settings in [["device=aux"].as_slice(), &["process=1"], &["defect=cleanup-order"]] {
        let second = engine(settings);
        ok(&second, "load tiny");
        assert_eq!(ok(&second, "generate 16"), plain, "{settings:?}");
        ok(&second, "swap model=other");
        let other = ok(&second, "generate 16");
        assert_ne!(other.digest, plain.digest);
        assert_eq!(other.valid, [other.digest], "the old model is no longer right");
        ok(&second, "cleanup");
    }
}

#[test]
fn long_texts_pass_the_end_of_the_cache() {
    let engine = engine(&[]);
    ok(&engine, "load other");
    let text = ok(&engine, "generate 1000");
    assert_eq!(text.valid, [text.digest]);
}

#[test]
fn illegal_steps_are_refused_with_a_reason() {
    let engine = engine(&[]);
    for step in ["generate 4", "unload", "export", "swap model=other"] {
        illegal(&engine, step, "no model is loaded");
    }
    ok(&engine, "load tiny");
    illegal(&engine, "load other", "loaded already");
    ok(&engine, "shutdown");
    for step in
        ["load tiny", "generate 4", "unload", "export", "swap model=other", "cancel", "shutdown"]
    {
        illegal(&engine, step, "shut down");
    }
    ok(&engine, "cleanup");
    for step in
        ["load tiny", "generate 4", "unload", "export", "swap model=other", "cancel", "shutdown"]
    {
        illegal(&engine, step, "released");
    }
    ok(&engine, "cleanup");
}

#[test]
fn illegal_steps_are_refused_beside_others() {
    for _ in 0..50 {
        let engine = engine(&[]);
        let loads: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| perform(&*engine, "load tiny"))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(loads.iter().filter(|load| load.is_ok()).count(), 1, "{loads:?}");
        assert!(loads.iter().all(|load| matches!(load, Ok(_) | Err(EngineError::Illegal(_)))));
    }
}

#[test]
fn a_failed_load_can_be_mended() {
    let engine = engine(&[]);
    failed(&engine, "load broken", "tensor 5");
    assert_eq!(engine.state(), EngineState::Failed);
    illegal(&engine, "generate 4", "the last load failed");
    failed(&engine, "load nowhere", "no model named `nowhere`; known: tiny, other, broken");
    ok(&engine, "load tiny");
    failed(&engine, "swap model=broken", "tensor 5");
    let text = ok(&engine, "generate 16");
    assert_eq!(text.valid, [text.digest], "a failed swap changes nothing");
}

#[test]
fn what_is_not_understood_fails() {
    let engine = engine(&[]);
    ok(&engine, "load tiny");
    for step in [
        "generate many",
        "generate 1 2",
        "generate 9999999",
        "generate 1 tempo=2",
        "swap other",
        "load",
        "export a b",
    ] {
        let result = perform(&*engine, step);
        assert!(matches!(result, Err(EngineError::Failed(_))), "{step}: {result:?}");
    }
    assert!(matches!(create(&["defect=nothing"]), Err(EngineError::Failed(_))));
    let result = perform(&*engine, "call dance");
    assert!(matches!(result, Err(EngineError::Unsupported(_))), "{result:?}");
}

#[test]
fn a_generate_in_flight_can_be_cancelled() {
    let engine = engine(&[]);
    ok(&engine, "load tiny");
    let result = std::thread::scope(|scope| {
        let generate = scope.spawn(|| perform(&*engine, "generate 1000000"));
        while !generate.is_finished() {
            ok(&engine, "cancel");
            std::thread::yield_now();
        }
        generate.join().unwrap()
    });
    assert_eq!(result, Err(EngineError::Cancelled));
    ok(&engine, "generate 4");
}

#[test]
fn state_answers_while_a_step_waits() {
    let engine = engine(&["export=thread"]);
    ok(&engine, "load tiny");
    ok(&engine, "export ms=20000");
    std::thread::scope(|scope| {
        let unload = scope.spawn(|| perform(&*engine, "unload"));
        // One that waits with the unload takes as long as the export.
        let start = Instant::now();
        let mut answers = 0;
        while answers < 1000 && start.elapsed() < Duration::from_secs(8) {
            answers += usize::from(engine.state() == EngineState::Created);
        }
        let took = start.elapsed();
        ok(&engine, "cancel");
        unload.join().unwrap().unwrap();
        assert_eq!(answers, 1000, "in {took:?}");
        assert!(took < Duration::from_secs(10), "state() took {took:?}");
    });
}

#[test]
fn an_export_is_the_model_again_and_a_file_loads_as_its_name_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.model");
    let path = path.to_str().unwrap();
    let first = engine(&[]);
    ok(&first, "load tiny");
    let exported = ok(&first, &format!("export {path}"));
    assert_eq!(exported.valid, [exported.digest]);
    assert_eq!(std::fs::read(path).unwrap(), hotfire_reference::model_bytes("tiny").unwrap());
    let second = engine(&[]);
    ok(&second, &format!("load {path}"));
    assert_eq!(ok(&second, "generate 16"), ok(&first, "generate 16"));

    let start = Instant::now();
    ok(&first, "export ms=50");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = hotfire_reference::model_bytes("tiny").unwrap();
    let engine = engine(&[]);
    for at in (0..40).chain([41, 60, 295]) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        let path = folder.path().join("damaged.model");
        std::fs::write(&path, bytes).unwrap();
        let result = perform(&*engine, &format!("load {}", path.display()));
        assert!(matches!(result, Err(EngineError::Failed(_))), "byte {at}: {result:?}");
    }
    for length in [0, 1, 39, 40, 200, good.len() - 1] {
        let path = folder.path().join("short.model");
        std::fs::write(&path, &good[..length]).unwrap();
        let result = perform(&*engine, &format!("load {}", path.display()));
        assert!(matches!(result, Err(EngineError::Failed(_))), "{length} bytes: {result:?}");
    }
}

#[test]
fn a_swap_beside_generates_is_never_torn() {
    for settings in [[].as_slice(), &["device=aux"]] {
        let engine = engine(settings);
        ok(&engine, "load tiny");
        let is_done = AtomicBool::new(false);
        let texts: Vec<Outcome> = std::thread::scope(|scope| {
            scope.spawn(|| {
                let models = ["other", "tiny"].into_iter().cycle();
                for model in models.take_while(|_| !is_done.load(Ordering::Relaxed)) {
                    ok(&engine, &format!("swap model={model}"));
                }
            });
            let mut texts: Vec<Outcome> = Vec::new();
            let met = |text: &Outcome| text.valid.len() == 2;
            // Enough for the swaps to begin, however late their thread is.
            while texts.len() < 60 || (texts.len() < 20_000 && !texts.iter().any(met)) {
                texts.push(ok(&engine, "generate 8"));
            }
            is_done.store(true, Ordering::Relaxed);
            texts
        });
        assert!(texts.iter().all(|text| !torn(text)));
        assert!(texts.iter().any(|text| text.valid.len() == 2), "no generate met a swap");
    }
}
