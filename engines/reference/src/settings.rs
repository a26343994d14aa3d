//! `reference:KEY=VALUE,…` made into settings.

use hotfire_host::EngineError;
use hotfire_plan::{Args, nearest};

use crate::bridge::ffi::Settings;
use crate::defects::DEFECTS;

/// The settings that there are.
const KEYS: [&str; 8] =
    ["defect", "window", "device", "process", "prefetch", "semaphore", "monitor", "export"];

/// Reads the arguments of `create`.
///
/// # Errors
/// `Failed` for a key, a defect, a device or a duration that is not known.
pub(crate) fn settings(args: &Args) -> Result<Settings, EngineError> {
    let mut settings = Settings::default();
    for (key, value) in args {
        match key.as_str() {
            "defect" => {
                for name in value.split('+') {
                    switch_on(&mut settings, name)?;
                }
            }
            "window" => settings.window_ns = duration_ns(value)?,
            "device" => settings.aux_device = choice(key, value, &["host", "aux"])? == 1,
            "process" => settings.worker_process = switch(key, value)?,
            "prefetch" => settings.prefetch = switch(key, value)?,
            "semaphore" => settings.semaphore = switch(key, value)?,
            "monitor" => settings.monitor = switch(key, value)?,
            "export" => settings.exporter = choice(key, value, &["caller", "thread", "child"])?,
            _ => {
                let near = meant(key, KEYS);
                let known = KEYS.join(", ");
                let text = format!("no setting `{key}`; {near}known: {known}");
                return Err(EngineError::Failed(text));
            }
        }
    }
    Ok(settings)
}

fn switch_on(settings: &mut Settings, name: &str) -> Result<(), EngineError> {
    let mut names = DEFECTS.iter().map(|defect| defect.name);
    if !names.any(|known| known == name) {
        let near = meant(name, DEFECTS.iter().map(|defect| defect.name));
        let help = "`hotfire list --defects` explains them";
        let known: Vec<&str> = DEFECTS.iter().map(|defect| defect.name).collect();
        let known = known.join(", ");
        let text = format!("no defect `{name}`; {near}known: {known}; {help}");
        return Err(EngineError::Failed(text));
    }
    settings.defects.push(name.replace('-', "_"));
    Ok(())
}

/// `did you mean …? `, or nothing.
fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default()
}

fn switch(key: &str, value: &str) -> Result<bool, EngineError> {
    Ok(choice(key, value, &["0", "1"])? == 1)
}

/// The place of `value` among `words`.
fn choice(key: &str, value: &str, words: &[&str]) -> Result<u8, EngineError> {
    let mut places = (0u8..).zip(words);
    let place = places.find_map(|(place, word)| (*word == value).then_some(place));
    place.ok_or_else(|| {
        let known = words.join(", ");
        EngineError::Failed(format!("no setting {key}={value}; known: {known}"))
    })
}

/// `5us`, `2ms`, `1s`, `800ns` in nanoseconds; at most a minute.
fn duration_ns(text: &str) -> Result<u64, EngineError> {
    let wrong =
        || EngineError::Failed(format!("no setting window={text}; give e.g. 5us, 200us, 2ms"));
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(scale).filter(|ns| (1..=60_000_000_000).contains(ns)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Settings, EngineError> {
        let args = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        settings(&args)
    }

    #[test]
    fn nothing_asked_is_healthy() {
        assert_eq!(parse(&[]), Ok(Settings::default()));
    }

    #[test]
    fn several_defects_and_a_window() {
        let got = parse(&[("defect", "cleanup-order+swap-deadlock"), ("window", "200us")]).unwrap();
        assert_eq!(got.defects, ["cleanup_order", "swap_deadlock"]);
        assert_eq!(got.window_ns, 200_000);
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known() {
        for pairs in [
            [("defect", "clean-order")],
            [("window", "5")],
            [("window", "0us")],
            [("window", "61s")],
            [("device", "gpu")],
            [("process", "yes")],
            [("prefetch", "2")],
            [("semaphore", "")],
            [("export", "fork")],
            [("colour", "red")],
        ] {
            let error = parse(&pairs).unwrap_err();
            assert!(matches!(error, EngineError::Failed(_)), "{pairs:?}: {error}");
            assert!(error.to_string().contains(pairs[0].1) || error.to_string().contains("colour"));
        }
    }
}
