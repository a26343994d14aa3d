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

struct Options {
  Defects defects;
  std::uint64_t window_ns = 0;  // length of the racy window; 0: the defect's own default
  bool aux_device = false;
  bool worker_process = false;
  bool prefetch = false;
  bool semaphore = false;
};

}  // namespace hotfire::reference
