#!/usr/bin/env bash
# Runs random lifecycles of the healthy built-in engine, in sequence and in lanes, under
# AddressSanitizer with LeakSanitizer and under ThreadSanitizer; red at the first report.
# Then checks that each sanitizer does see a defect: a silent sanitizer proves nothing.
# A sanitizer that this machine does not have is skipped by name, with the reason.
# Usage: scripts/sanitize.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-300}
target=x86_64-unknown-linux-gnu
folder=${CARGO_TARGET_DIR:-target}/sanitize
status=0
mkdir -p "$folder"

# report NAME CODE WHAT: one line; 0 is a pass.
report() {
  if [[ $2 == 0 ]]; then
    echo "PASS sanitizer-$1: $3"
  else
    echo "FAIL sanitizer-$1: $3"
    status=1
  fi
}

# The C++ compiler's reason against a sanitizer; nothing when it links.
compiler_lacks() {
  echo 'int main() {}' | c++ -x c++ "-fsanitize=$1" - -o "$folder/probe" 2>/dev/null ||
    echo "the C++ compiler can't link -fsanitize=$1"
}

# Rust's reason against AddressSanitizer.
rust_lacks() {
  local root
  if [[ $(uname -m) != x86_64 ]]; then
    echo "this machine is no x86-64"
  elif ! root=$(rustc +nightly --print sysroot 2>/dev/null); then
    echo "no nightly toolchain; rustup toolchain install nightly"
  elif ! compgen -G "$root/lib/rustlib/$target/lib/librustc*_rt.asan.a" >/dev/null; then
    echo "the nightly toolchain has no asan runtime"
  fi
}

# The whole engine, Rust and C++, with leak detection.
address() {
  local reason programs=$folder/address/$target/debug/examples
  reason=$(rust_lacks)
  reason=${reason:-$(compiler_lacks address)}
  if [[ -n $reason ]]; then
    echo "SKIP sanitizer-address: $reason"
    return
  fi
  env CARGO_TARGET_DIR="$folder/address" RUSTFLAGS=-Zsanitizer=address \
    CXXFLAGS=-fsanitize=address cargo +nightly build --quiet -p hotfire-reference \
    --example stress --example lifecycle --target "$target"
  export ASAN_OPTIONS=detect_leaks=1:exitcode=66
  local seed code
  for seed in 1 2; do
    code=0
    "$programs/stress" "$seed" "$rounds" >/dev/null || code=$?
    report address "$code" "seed $seed, $rounds lifecycles"
  done
  code=1
  { "$programs/lifecycle" 'create defect=cleanup-order' 'load tiny' drop 2>&1 || true; } |
    grep -q 'AddressSanitizer: SEGV' && code=0
  report address "$code" "sees cleanup-order"
}

# The C++ alone: Rust's standard library comes without instrumentation, so that its locks are
# invisible to ThreadSanitizer and every use of one would be reported.
thread() {
  local reason
  reason=$(compiler_lacks thread)
  if [[ -n $reason ]]; then
    echo "SKIP sanitizer-thread: $reason"
    return
  fi
  local engine=engines/reference sources=() source
  for source in "$engine"/cpp/*.cc; do
    [[ $source == */bridge.cc ]] || sources+=("$source")
  done
  c++ -std=c++17 -O1 -g1 -fsanitize=thread -pthread "${sources[@]}" \
    "$engine/tests/thread_stress.cc" -o "$folder/thread_stress"
  cargo run --quiet -p hotfire-reference --example make-models -- "$folder"
  local models=("$folder"/{tiny,other,broken}.model) seed code
  export TSAN_OPTIONS=exitcode=66:second_deadlock_stack=1
  for seed in 1 2; do
    code=0
    "$folder/thread_stress" "${models[@]}" "$seed" "$rounds" >/dev/null || code=$?
    report thread "$code" "seed $seed, $rounds lifecycles in three lanes"
  done
  code=1
  { "$folder/thread_stress" "${models[@]}" 1 40 swap-deadlock 2>&1 || true; } |
    grep -q 'lock-order-inversion' && code=0
  report thread "$code" "sees swap-deadlock"
}

address
thread
exit "$status"
