// What an engine is asked to be: its device, and the defects that it has on request.
// A defect changes only an order, a bound, a lock or a lifetime; nothing here crashes on purpose.
#pragma once

#include <cstdint>
#include <string_view>

namespace hotfire::reference {

// A switch for each line of defects.def; all off in a healthy engine.
struct Defects {
#define DEFECT(name) bool name = false;
#include "defects.def"
#undef DEFECT

  // Switches a defect on by its name with `_`; false when there is none.
  bool switch_on(std::string_view wanted) noexcept {
#define DEFECT(name) \
  if (wanted == #name) return name = true;
#include "defects.def"
#undef DEFECT
    return false;
  }
};

// Who encodes an export: the caller, a thread that goes on behind the step, or a forked child.
// The numbers cross the bridge.
enum class Exporter : std::uint8_t { caller, thread, child };

struct Options {
  Defects defects;
  std::uint64_t window_ns = 0;  // length of the racy window; 0: the defect's own default
  bool aux_device = false;
  bool worker_process = false;
  bool prefetch = false;
  bool semaphore = false;
  bool monitor = false;
  Exporter exporter = Exporter::caller;

  std::uint64_t window(std::uint64_t default_ns) const noexcept {
    return window_ns == 0 ? default_ns : window_ns;
  }
};

}  // namespace hotfire::reference
