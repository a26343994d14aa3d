#!/usr/bin/env bash
# Fetches the real engines' published libraries into .cache/engines, checks their checksums and
# makes the tiny models. What is there already is neither downloaded nor made again.
#
#   scripts/fetch-engines.sh [NAME…]      names: llama onnxruntime (default: all)
#
# Exit status: 0 all there, 2 usage, 96 set-up (a tool is missing, no network, wrong checksum).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
checksums=$root/scripts/engines.sha256

set_up_failed() { # MESSAGE HELP
    printf 'error: %s\n  help: %s\n' "$1" "$2" >&2
    exit 96
}

need() { # TOOL PACKAGE
    command -v "$1" >/dev/null || set_up_failed "$1 is not installed" "apt-get install $2"
}

# Succeeds when the file has the checksum recorded for its name.
checked() { # FILE
    local name expected
    name=$(basename "$1")
    expected=$(awk -v name="$name" '$2 == name { print $1 }' "$checksums")
    [ -n "$expected" ] || set_up_failed "no checksum is recorded for $name" "add it to $checksums"
    [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$expected" ]
}

# llama.cpp v0.5.0 as built for linux-x64 by the node-llama-cpp project (MIT). Of its CPU
# backends only the plain x86-64 one is taken: the same code on every machine.
fetch_llama() {
    local package=@node-llama-cpp/linux-x64 version=3.22.1
    local archive=node-llama-cpp-linux-x64-$version.tgz
    local folder=$root/.cache/engines/llama
    local libraries=(libllama.v0.5.0.so libggml.v0.5.0.so libggml-base.so libggml-cpu-x64.so)
    local models=(tiny other corrupt truncated)
    local work library model complete=yes
    need sha256sum coreutils
    mkdir -p "$folder"

    for library in "${libraries[@]}"; do checked "$folder/$library" || complete=no; done
    if [ $complete = no ]; then
        need npm npm
        need tar tar
        work=$(mktemp -d "$folder/fetch.XXXXXX")
        # shellcheck disable=SC2064 # the folder's name is wanted as it is now
        trap "rm -rf '$work'" EXIT
        (cd "$work" && npm pack --silent "$package@$version" >/dev/null) ||
            set_up_failed "npm could not fetch $package $version" \
                "check the network and \`npm config get registry\`"
        checked "$work/$archive" ||
            set_up_failed "$archive has a wrong checksum" "remove it from npm's cache: npm cache clean --force"
        tar -xzf "$work/$archive" -C "$work" --strip-components=3 \
            "${libraries[@]/#/package/bins/linux-x64/}"
        for library in "${libraries[@]}"; do
            checked "$work/$library" ||
                set_up_failed "$library has a wrong checksum" "compare with $checksums"
            mv "$work/$library" "$folder/$library"
        done
        rm -rf "$work"
        trap - EXIT
    fi

    complete=yes
    for model in "${models[@]}"; do checked "$folder/$model.gguf" || complete=no; done
    if [ $complete = no ]; then
        need python3 python3
        python3 "$root/engines/llama/make_gguf.py" "$folder" ||
            set_up_failed "the models could not be made" \
                "python3 engines/llama/make_gguf.py $folder"
        for model in "${models[@]}"; do
            checked "$folder/$model.gguf" ||
                set_up_failed "$model.gguf is not what make_gguf.py should make" "compare with $checksums"
        done
    fi
    printf 'llama: ready in %s\n' "$folder"
}

# ONNX Runtime as published for Python: a big stripped library (29 MB) with unwind tables, for what
# is said of stacks. No engine drives it yet.
fetch_onnxruntime() {
    local version=1.31.1
    local library=libonnxruntime.so.$version
    local folder=$root/.cache/engines/onnxruntime
    local work
    need sha256sum coreutils
    mkdir -p "$folder"
    if ! checked "$folder/$library"; then
        need python3 python3
        work=$(mktemp -d "$folder/fetch.XXXXXX")
        # shellcheck disable=SC2064 # the folder's name is wanted as it is now
        trap "rm -rf '$work'" EXIT
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --python-version 3.11 --platform manylinux_2_28_x86_64 -d "$work" "onnxruntime==$version" ||
            set_up_failed "pip could not fetch onnxruntime $version" \
                "check the network and \`python3 -m pip config list\`"
        (cd "$work" && python3 -m zipfile -e onnxruntime-*.whl .)
        checked "$work/onnxruntime/capi/$library" ||
            set_up_failed "$library has a wrong checksum" "python3 -m pip cache purge, then try again"
        mv "$work/onnxruntime/capi/$library" "$folder/$library"
        rm -rf "$work"
        trap - EXIT
    fi
    printf 'onnxruntime: ready in %s\n' "$folder"
}

[ $# -gt 0 ] || set -- llama onnxruntime
for name in "$@"; do
    case $name in
    llama | onnxruntime) ;;
    *)
        printf 'error: no engine is called %s\n  help: the engines to fetch are: llama onnxruntime\n' "$name" >&2
        exit 2
        ;;
    esac
done
for name in "$@"; do "fetch_$name"; done
