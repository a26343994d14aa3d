//! Writes small core files for tests, as the kernel lays them out.

use std::path::PathBuf;

use tempfile::TempDir;

/// A core to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Builder {
    pub(super) threads: Vec<Thread>,
    pub(super) loads: Vec<Load>,
    /// (kind, value) of the auxiliary vector.
    pub(super) auxiliary: Vec<(u64, u64)>,
    /// (start, end, page in the file, path).
    pub(super) files: Vec<(u64, u64, u64, String)>,
    /// Process, name and command line.
    pub(super) process: Option<(i32, &'static str, &'static str)>,
    /// The number of segments stands in a section header.
    pub(super) count_elsewhere: bool,
}

/// A thread to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Thread {
    pub(super) tid: i32,
    pub(super) signal: u16,
    pub(super) blocked: u64,
    /// By their places in `struct user_regs_struct`.
    pub(super) registers: [u64; 27],
    /// (signal, code, what stands in the union).
    pub(super) signal_info: Option<(i32, i32, u64)>,
}

/// A segment to be; what it has of bytes may be less than its length.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) flags: u32,
    pub(super) bytes: Vec<u8>,
}

pub(super) const RBP: usize = 4;
pub(super) const RAX: usize = 10;
pub(super) const RDI: usize = 14;
pub(super) const CALL: usize = 15;
pub(super) const RIP: usize = 16;
pub(super) const RSP: usize = 19;

impl Thread {
    pub(super) fn new(tid: i32, registers: &[(usize, u64)]) -> Self {
        let mut thread = Self { tid, ..Self::default() };
        // No system call.
        thread.registers[CALL] = u64::MAX;
        for (number, value) in registers {
            thread.registers[*number] = *value;
        }
        thread
    }
}

impl Builder {
    /// The file's bytes: header, program headers, notes, memory.
    pub(super) fn build(&self) -> Vec<u8> {
        let notes = self.notes();
        let count = self.loads.len() + 1;
        let table = 64;
        let notes_at = table + 56 * count + if self.count_elsewhere { 64 } else { 0 };
        let mut file = header(count, self.count_elsewhere);
        file.extend(program_header(4, 0, notes_at as u64, [0, notes.len() as u64, 0]));
        let mut place = (notes_at + notes.len()) as u64;
        for load in &self.loads {
            let bytes = load.bytes.len() as u64;
            file.extend(program_header(1, load.flags, place, [load.start, bytes, load.length]));
            place += bytes;
        }
        if self.count_elsewhere {
            let mut section = [0; 64];
            section[44..48].copy_from_slice(&u32::try_from(count).unwrap().to_le_bytes());
            file.extend(section);
        }
        file.extend(notes);
        self.loads.iter().for_each(|load| file.extend(&load.bytes));
        file
    }

    /// The core in a folder of its own.
    pub(super) fn write(&self) -> (TempDir, PathBuf) {
        write(&self.build())
    }

    fn notes(&self) -> Vec<u8> {
        let mut notes = Vec::new();
        for (at, thread) in self.threads.iter().enumerate() {
            notes.extend(note(1, &prstatus(thread)));
            if let (0, Some((pid, name, arguments))) = (at, &self.process) {
                notes.extend(note(3, &prpsinfo(*pid, name, arguments)));
            }
            if let Some((signal, code, value)) = thread.signal_info {
                let mut info = [signal, 0, code, 0].map(i32::to_le_bytes).concat();
                info.extend(value.to_le_bytes());
                info.resize(128, 0);
                notes.extend(note(0x5349_4749, &info));
            }
            if at == 0 {
                let words = self.auxiliary.iter().flat_map(|(kind, value)| [*kind, *value]);
                notes.extend(note(6, &words.flat_map(u64::to_le_bytes).collect::<Vec<_>>()));
                notes.extend(note(0x4649_4c45, &self.file_note()));
            }
            // Floating point registers, which nobody reads.
            notes.extend(note(2, &[0; 512]));
        }
        notes
    }

    fn file_note(&self) -> Vec<u8> {
        let mut words = vec![self.files.len() as u64, 4096];
        words.extend(self.files.iter().flat_map(|(start, end, page, _)| [*start, *end, *page]));
        let mut content: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        for (.., path) in &self.files {
            content.extend(path.as_bytes());
            content.push(0);
        }
        content
    }
}

/// A file in a folder of its own.
pub(super) fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("core");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn header(count: usize, elsewhere: bool) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    header[16..20].copy_from_slice(&[4, 0, 62, 0]);
    header[32] = 64;
    header[54] = 56;
    let stated = if elsewhere { u16::MAX } else { u16::try_from(count).unwrap() };
    header[56..58].copy_from_slice(&stated.to_le_bytes());
    if elsewhere {
        header[40..48].copy_from_slice(&(64 + 56 * count as u64).to_le_bytes());
    }
    header
}

fn program_header(kind: u32, flags: u32, offset: u64, [start, bytes, length]: [u64; 3]) -> Vec<u8> {
    let mut entry = [kind, flags].map(u32::to_le_bytes).concat();
    for word in [offset, start, 0, bytes, length, 4] {
        entry.extend(word.to_le_bytes());
    }
    entry
}

fn note(kind: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    let mut note = [5, length, kind].map(u32::to_le_bytes).concat();
    note.extend(b"CORE\0\0\0\0");
    note.extend(content);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

fn prstatus(thread: &Thread) -> Vec<u8> {
    let mut status = vec![0; 336];
    status[12..14].copy_from_slice(&thread.signal.to_le_bytes());
    status[24..32].copy_from_slice(&thread.blocked.to_le_bytes());
    status[32..36].copy_from_slice(&thread.tid.to_le_bytes());
    for (place, register) in status[112..].chunks_exact_mut(8).zip(thread.registers) {
        place.copy_from_slice(&register.to_le_bytes());
    }
    status
}

fn prpsinfo(pid: i32, name: &str, arguments: &str) -> Vec<u8> {
    let mut info = vec![0; 136];
    info[24..28].copy_from_slice(&pid.to_le_bytes());
    info[40..40 + name.len()].copy_from_slice(name.as_bytes());
    info[56..56 + arguments.len()].copy_from_slice(arguments.as_bytes());
    info
}
