//! Where a model comes from: a name that the engine knows, or a file. Remembers which tokens it
//! gives.
//!
//! A known model is written to an anonymous file (memfd) that nothing can leave behind. `tmp:NAME`
//! is a file of this process in the folder for temporary files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hotfire_host::EngineError;

use crate::models::{KNOWN_MODELS, fnv, model_bytes};
use crate::oracle::Network;

const FILE_BYTES_MAX: u64 = 64 << 20;
/// So many prompts are remembered per model.
const PROMPTS_MAX: usize = 64;
/// At least so many tokens are worked out at once, so that most requests find theirs.
const TOKENS_MIN: usize = 64;

/// A model's bytes and the texts that it gives.
pub(crate) struct Source {
    id: u64,
    bytes: Vec<u8>,
    texts: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Source {
    fn new(bytes: Vec<u8>) -> Self {
        Self { id: fnv(&bytes).max(1), bytes, texts: Mutex::default() }
    }

    /// The number by which the engine knows this model; never 0.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The digest of an export of this model.
    pub(crate) fn file_digest(&self) -> u64 {
        fnv(&self.bytes)
    }

    /// The digest of the first `count` tokens behind `prompt`; `None` for what is no model.
    pub(crate) fn text_digest(&self, prompt: &[u8], count: u64) -> Option<u64> {
        let count = usize::try_from(count).ok()?;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = texts.get(prompt).and_then(|text| text.get(..count)) {
            return Some(fnv(tokens));
        }
        let text = Network::read(&self.bytes)?.generate(prompt, count.max(TOKENS_MIN));
        let digest = text.get(..count).map(fnv);
        if texts.len() >= PROMPTS_MAX {
            texts.clear();
        }
        texts.insert(prompt.to_vec(), text);
        digest
    }
}

/// A model ready to be mapped.
pub(crate) struct Opened {
    pub(crate) source: Arc<Source>,
    pub(crate) file: File,
}

/// The prefix of files that live no longer than the engine that wrote them.
pub(crate) const TEMPORARY: &str = "tmp:";

/// The path that `name` stands for.
pub(crate) fn path_of(name: &str) -> PathBuf {
    match name.strip_prefix(TEMPORARY) {
        Some(rest) => {
            let rest = rest.replace('/', "-");
            std::env::temp_dir().join(format!("reference-{}-{rest}", std::process::id()))
        }
        None => PathBuf::from(name),
    }
}

/// Finds a model: what is `tmp:NAME`, holds a `/` or is a file here is a file, all else a known
/// name.
///
/// # Errors
/// `Failed` when there is no such name or the file can't be read.
pub(crate) fn open(name: &str) -> Result<Opened, EngineError> {
    if name.starts_with(TEMPORARY) || name.contains('/') || Path::new(name).is_file() {
        return open_file(name);
    }
    let Some(source) = known().get(name) else {
        let known = KNOWN_MODELS.join(", ");
        return Err(EngineError::Failed(format!("no model named `{name}`; known: {known}")));
    };
    let file = anonymous_file(&source.bytes)
        .map_err(|error| EngineError::Failed(format!("no file for model `{name}`: {error}")))?;
    Ok(Opened { source: Arc::clone(source), file })
}

/// The models with names; made once per process.
pub(crate) fn known() -> &'static BTreeMap<&'static str, Arc<Source>> {
    static KNOWN: OnceLock<BTreeMap<&'static str, Arc<Source>>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let named = |name| Some((name, Arc::new(Source::new(model_bytes(name)?))));
        KNOWN_MODELS.into_iter().filter_map(named).collect()
    })
}

fn open_file(path: &str) -> Result<Opened, EngineError> {
    let read = || -> std::io::Result<(File, Vec<u8>)> {
        let file = File::open(path_of(path))?;
        let mut bytes = Vec::new();
        (&file).take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((file, bytes))
    };
    let (file, bytes) =
        read().map_err(|error| EngineError::Failed(format!("model file {path}: {error}")))?;
    Ok(Opened { source: Arc::new(Source::new(bytes)), file })
}

fn anonymous_file(bytes: &[u8]) -> std::io::Result<File> {
    // SAFETY: the name is a C string that lives as long as the call.
    let fd = unsafe { libc::memfd_create(c"hotfire-model".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else owns it.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes)?;
    Ok(file)
}
