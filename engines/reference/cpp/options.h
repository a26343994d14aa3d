// What an engine is asked to be: its device, and the defects that it has on request.
// A defect changes only an order, a bound, a lock or a lifetime; nothing here crashes on purpose.
#pragma once

#include <cstdint>

namespace hotfire::reference {

struct Defects {
  bool cleanup_order = false;         // order: memory goes before what points into it
  bool half_built_init = false;       // lifetime and bound: a failed load leaves its pieces
  bool generate_during_load = false;  // lock: generate does not wait for the load's end
  bool swap_deadlock = false;         // lock order: swap takes the two locks the other way round
  bool exit_static_order = false;     // order: exit unmaps before it stops the workers
  bool orphan_worker = false;         // lifetime: the worker process does not end with its engine
};

struct Options {
  Defects defects;
  std::uint64_t window_ns = 0;  // length of the racy window; 0: the defect's own default
  bool aux_device = false;
  bool worker_process = false;
};

}  // namespace hotfire::reference
