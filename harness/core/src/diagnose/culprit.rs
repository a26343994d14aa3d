//! Whose code a place is: modules that every program has are nobody's.
//!
//! Deliberately absent: names of packages; only what every program of a platform shares is known.

use super::facts::Context;
use super::finding::Culprit;
use super::function_name::{bare, first_namespace};
use crate::observe::{FrameRecord, Location, SourceRecord};

/// File names that begin so are the C library, the loader, language runtimes or allocators: a crash
/// there is a victim's frame. `libffi` calls on behalf of interpreters.
const RUNTIME_PREFIXES: &[&str] = &[
    "ld-linux",
    "ld-musl",
    "ld.so",
    "libc.so",
    "libc.musl",
    "libpthread.so",
    "libm.so",
    "libdl.so",
    "librt.so",
    "libstdc++.so",
    "libgcc_s",
    "libc++.so",
    "libc++abi",
    "libunwind.so",
    "libunwind-",
    "libffi.so",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libasan.so",
    "libtsan.so",
    "libubsan.so",
    "[vdso]",
    "linux-vdso",
    "[vsyscall]",
];

/// The same with a version behind the name, as in `libc-2.31.so` and `python3.11`.
const VERSIONED_RUNTIMES: &[&str] = &[
    "libc-",
    "libm-",
    "ld-",
    "libpthread-",
    "libdl-",
    "librt-",
    "libpython",
    "python",
    "libruby-",
    "ruby",
];

/// Namespaces of the built-in host that are neither an engine's nor a standard library's.
const HOST_NAMESPACES: &[&str] = &[
    "compiler_builtins",
    "cxx",
    "hotfire",
    "hotfire_core",
    "hotfire_host",
    "hotfire_plan",
    "hotfire_recorder",
    "hotfire_sys",
];

/// Namespaces of the standard libraries of C++ and Rust.
const STANDARD_NAMESPACES: &[&str] =
    &["std", "__gnu_cxx", "__cxxabiv1", "core", "alloc", "panic_abort", "__rustc"];

/// Entries of the C++ runtime and of its unwinder (the C++ ABI, 2; libgcc), which a program that
/// has them linked in holds itself.
const RUNTIME_ENTRIES: &[&str] = &[
    "__cxa_",
    "_Unwind_",
    "__gxx_personality",
    "__gnu_cxx::",
    "__cxxabiv1::",
    "std::terminate",
    "std::rethrow_exception",
    "std::__throw_",
];

/// What libstdc++ makes of a callable: code that is instantiated for its type, the last argument of
/// the template (bits/std_function.h), and calls it. It is inlined there, so that no frame has its
/// name.
const CALLER: (&str, &str) = ("std::_Function_handler<", ">::_M_invoke(");

/// Folders in which compilers keep the standard libraries' source.
const STANDARD_FOLDERS: &[&str] = &["/c++/", "/rustc/"];

/// Folders in which Python's packages are installed.
const PACKAGE_FOLDERS: &[&str] = &["/site-packages/", "/dist-packages/"];

/// The file name of a module's path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A module's name in reports: its file's, and of one in a package of Python's also where it lies
/// there, as `core.so` may be anybody's.
pub(crate) fn module_name(path: &str) -> &str {
    let below = |folder: &&str| path.rsplit_once(*folder).map(|(_, below)| below);
    PACKAGE_FOLDERS.iter().find_map(below).unwrap_or_else(|| file_name(path))
}

/// Whether the module is one that every program has.
pub(crate) fn is_runtime(path: &str) -> bool {
    let name = file_name(path);
    RUNTIME_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || VERSIONED_RUNTIMES.iter().any(|stem| is_version_of(name, stem))
}

/// Whether the name is the stem and a version: digits, dots, and the letters of builds (`3.13t`).
fn is_version_of(name: &str, stem: &str) -> bool {
    let Some(rest) = name.strip_prefix(stem) else { return false };
    let version = rest.split_once(".so").map_or(rest, |(version, _)| version);
    let number = version.trim_end_matches(['d', 'm', 't', 'u']);
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether the module is an interpreter: it runs somebody's program, and ends with it.
pub(crate) fn is_interpreter(path: &str) -> bool {
    let name = file_name(path);
    ["libpython", "python", "libruby-", "ruby"].iter().any(|stem| is_version_of(name, stem))
}

/// Whether the function is one of the C++ runtime's.
pub(crate) fn is_of_cpp_runtime(function: &str) -> bool {
    RUNTIME_ENTRIES.iter().any(|entry| function.starts_with(entry))
}

/// Whether the function is one of the standard library's, compiled into whoever uses it.
pub(crate) fn is_of_standard_library(function: &str) -> bool {
    is_of_cpp_runtime(function)
        || first_namespace(function)
            .is_some_and(|first| STANDARD_NAMESPACES.contains(&first.as_str()))
}

/// Whether a function of the built-in host belongs to an engine: its first namespace is not the
/// harness's, or one of its first two is named as an engine kind of the plan.
fn is_engines(function: &str, kinds: &[&str]) -> bool {
    let Some(first) = first_namespace(function) else { return false };
    let path = bare(function);
    let second = path.split("::").nth(1);
    let is_kind = |space: &str| kinds.contains(&space);
    let is_of_host =
        [HOST_NAMESPACES, STANDARD_NAMESPACES].iter().any(|list| list.contains(&first.as_str()));
    !is_of_host || is_kind(&first) || second.is_some_and(is_kind)
}

/// Whose code a frame is, with the line of its function.
pub(crate) fn culprit_of_frame(frame: &FrameRecord, context: &Context<'_>) -> Option<Culprit> {
    let location = frame.location.known()?;
    let callable = location.function.as_deref().and_then(callable);
    let callable = callable.map(|name| Location {
        function: Some(name.to_owned()),
        function_start: None,
        ..location.clone()
    });
    // Whoever called it is in the same module.
    let culprit = culprit(callable.as_ref().unwrap_or(location), context)?;
    let source = frame.source.iter().rev().find(|source| !is_of_standard_source(source));
    Some(match source {
        Some(source) => Culprit { file: source.file.clone(), line: source.line, ..culprit },
        None => culprit,
    })
}

/// The lambda that a function of the standard library is made to call.
fn callable(function: &str) -> Option<&str> {
    let rest = function.strip_prefix(CALLER.0)?;
    let callable = last_argument(rest.get(..rest.rfind(CALLER.1)?)?);
    // Of a pointer to a function, the type is not the name.
    (callable.contains("::{lambda(") && callable.ends_with('}')).then_some(callable)
}

/// Behind the last comma that is in no bracket.
fn last_argument(arguments: &str) -> &str {
    let mut depth = 0_i32;
    let mut start = 0;
    for (at, letter) in arguments.char_indices() {
        match letter {
            '<' | '(' | '{' | '[' => depth += 1,
            '>' | ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    arguments.get(start..).unwrap_or(arguments).trim_start()
}

fn is_of_standard_source(source: &SourceRecord) -> bool {
    let file = source.file.as_deref();
    file.is_none_or(|file| STANDARD_FOLDERS.iter().any(|folder| file.contains(folder)))
}

/// The name without what the compiler adds where it moves a part of a function elsewhere.
fn whole_function(function: &str) -> String {
    function.split(" [clone ").next().unwrap_or(function).to_owned()
}

/// Whose code it is; `None` where the place is in a runtime or in the harness.
pub(crate) fn culprit(location: &Location, context: &Context<'_>) -> Option<Culprit> {
    if is_runtime(&location.module) {
        return None;
    }
    let module = file_name(&location.module);
    if context.host_module == Some(module) {
        let engines = context.program.steps.iter().filter_map(|step| step.engine.as_ref());
        let kinds: Vec<&str> = engines.map(|engine| engine.kind.as_str()).collect();
        let function = location.function.as_deref()?;
        if !is_engines(function, &kinds) {
            return None;
        }
    }
    Some(Culprit {
        module: module_name(&location.module).to_owned(),
        function: location.function.as_deref().map(whole_function),
        file: None,
        line: None,
        build_id: location.build_id.clone(),
        function_start: match (&location.function, location.function_start) {
            (None, Some(start)) => Some(format!("{start:#x}")),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Fact, FoundBy};

    fn place(module: &str, function: Option<&str>) -> Location {
        Location {
            pc: 0x1000,
            module: module.to_owned(),
            build_id: None,
            offset: 0x10,
            function: function.map(str::to_owned),
            function_start: None,
            file: None,
        }
    }

    /// The culprit in a run of the reference engine, in a host of this name.
    fn culprit(location: &Location, host_module: Option<&str>) -> Option<Culprit> {
        let plan = hotfire_plan::Plan::parse("create a = reference; exit").unwrap();
        let program = hotfire_plan::Program::from(&plan);
        super::culprit(location, &Context { program: &program, ledger_used: true, host_module })
    }

    #[test]
    fn runtimes_are_nobodys() {
        for module in ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "[vdso]", "/u/libm.so.6"] {
            assert_eq!(culprit(&place(module, Some("memcpy")), None), None, "{module}");
        }
        for module in [
            "/u/bin/python3.11",
            "/u/bin/python",
            "libpython3.13t.so.1.0",
            "libc-2.31.so",
            "/u/bin/ruby3.1",
            "libruby-3.1.so.3.1.2",
        ] {
            assert_eq!(culprit(&place(module, Some("f")), None), None, "{module}");
        }
        for module in
            ["/x/pythonext.so", "/x/libpython_foo.so", "/x/libm-engine.so", "/x/rubyext.so"]
        {
            assert!(culprit(&place(module, Some("f")), None).is_some(), "{module} is a user's");
        }
        let llama = culprit(&place("/x/libllama.so", None), None).unwrap();
        assert_eq!(llama.module, "libllama.so");
        assert!(culprit(&place("/x/libmodel.so", None), None).is_some(), "libm is a whole name");
    }

    #[test]
    fn a_module_of_a_package_is_named_with_its_place_there() {
        let name = |path: &str| culprit(&place(path, None), None).unwrap().module;
        let package = "spatial/compiled.cpython-311-x86_64-linux-gnu.so";
        for folder in ["/v/lib/python3.11/site-packages", "/usr/lib/python3/dist-packages"] {
            assert_eq!(name(&format!("{folder}/{package}")), package);
        }
        assert_eq!(name("/site-packages/a/site-packages/b.so"), "b.so", "the innermost folder");
        assert_eq!(name("/opt/my-site-packages/b.so"), "b.so");
    }

    #[test]
    fn in_the_host_the_namespace_decides() {
        let host = Some("hotfire");
        for function in [
            "engine::Session::step(int)",
            "hotfire::reference::Model::unlink_tensor(hotfire::reference::Tensor&)",
            "hotfire_reference::kind::create",
        ] {
            let engine = place("/t/hotfire", Some(function));
            assert_eq!(culprit(&engine, host).unwrap().function, engine.function);
        }
        for function in [
            "hotfire::run::main",
            "hotfire_host::interpret(reference::Plan)",
            "core::ptr::read",
            "__rustc::__rust_foreign_exception",
            "<hotfire_host::Slot as Drop>::drop",
            "main",
        ] {
            assert_eq!(culprit(&place("/t/hotfire", Some(function)), host), None, "{function}");
        }
        assert_eq!(culprit(&place("/t/hotfire", None), host), None);
    }

    #[test]
    fn a_lambda_is_known_by_what_calls_it() {
        let invoke = |handler: &str| format!("std::_Function_handler<{handler}>::_M_invoke(int&&)");
        let lambda = "ref::(anonymous namespace)::f(A<int, 2>&, char)::{lambda(std::pair<int, int>, long)#1}";
        let own = invoke(&format!("void (std::pair<int, int>, long), {lambda}"));
        assert_eq!(callable(&own), Some(lambda));
        for other in [
            "void (int), void (*)(int)",
            "int (), ref::Adder",
            "int (), std::_Bind<ref::f()::{lambda()#1} ()>",
        ] {
            assert_eq!(callable(&invoke(other)), None, "{other}");
        }
        assert_eq!(callable(&format!("ref::sort<{lambda}>(int*)")), None);
    }

    #[test]
    fn lines_are_those_of_the_function_itself() {
        let source = |file: &str, line, inlined| SourceRecord {
            function: None,
            file: Some(file.to_owned()),
            line: Some(line),
            inlined,
        };
        let line = |function: &str, source: Vec<SourceRecord>| {
            let frame = FrameRecord {
                pc: 0x1000,
                found_by: FoundBy::UnwindInfo,
                doubtful: false,
                signal_trampoline: false,
                location: Fact::Known(place("/x/libengine.so", Some(function))),
                source,
                python: Vec::new(),
            };
            let program = hotfire_plan::Program::default();
            let context = Context { program: &program, ledger_used: true, host_module: None };
            culprit_of_frame(&frame, &context).unwrap().line
        };
        let header = "/usr/include/c++/12/bits/stl_vector.h";
        let inlined = || vec![source(header, 7, true), source("/e/a.cc", 5, true)];
        assert_eq!(
            line("e::f()", [inlined(), vec![source("/e/b.cc", 3, false)]].concat()),
            Some(3)
        );
        // What is the engine's in a function of the standard library is inlined there.
        assert_eq!(line("std::f()", [inlined(), vec![source(header, 9, false)]].concat()), Some(5));
        assert_eq!(line("e::f()", Vec::new()), None);
    }
}
