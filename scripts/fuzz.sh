#!/usr/bin/env bash
# Fuzzes Hotfire's readers of what others write: each target for SECONDS (default 60), from seeds that
# this script takes from the machine. Prints one line per target; the exit status is 1 when one fails.
# Needs a nightly toolchain and cargo-fuzz, which is built into .cache/tools where it is missing.
#
#   scripts/fuzz.sh [SECONDS] [TARGET]…
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"
shift || true
export PATH="$PWD/.cache/tools/bin:$PATH"
if ! rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
  echo "SKIP fuzz: no nightly toolchain is here; help: rustup toolchain install nightly"
  exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install --quiet --root .cache/tools cargo-fuzz --version 0.13.2
fi
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^hotfire-fuzz$')
fi
seed() {
  mkdir -p "fuzz/corpus/$1"
  case "$1" in
    core_file)
      # One of a fault and one of an abort, whose last words are looked for in its C library.
      for signal in SEGV ABRT; do
        (cd fuzz/corpus/core_file && rm -f core* && ulimit -c 512 && { sh -c "kill -$signal \$\$" || true; } \
          && for core in core*; do [ ! -f "$core" ] || mv "$core" "of-$signal"; done) 2> /dev/null
      done
      ;;
    elf_file) cp -n /bin/true "fuzz/corpus/elf_file/true" ;;
    maps_text) cat /proc/self/maps > "fuzz/corpus/maps_text/self" ;;
    recorder) head -c 65536 /dev/zero > "fuzz/corpus/recorder/zero" ;;
    unwind_memory) python3 scripts/fuzz-vdso.py > "fuzz/corpus/unwind_memory/vdso" ;;
  esac
}
failed=0
for target in "${targets[@]}"; do
  seed "$target"
  log="fuzz/corpus/$target.log"
  if (cd fuzz && cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 \
      -rss_limit_mb=2048 -print_final_stats=1) > "$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "PASS $target: $runs inputs in $seconds s"
  else
    echo "FAIL $target: the end of $log:"
    grep -E "^error|^==|panicked|SUMMARY|ERROR: libFuzzer" -A4 "$log" | head -n 25
    failed=1
  fi
done
exit "$failed"
