// The racy window of a defect: real work for a stated time. Healthy engines never call it.
#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>

namespace hotfire::reference {

// Mixes numbers until `nanoseconds` have passed. Gives others a turn every 40 µs or so: in a shorter
// window a turn would be longer than the window.
inline std::uint64_t busy_for(std::uint64_t nanoseconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(nanoseconds);
  std::uint64_t mixed = nanoseconds | 1;
  for (int rounds = 1; std::chrono::steady_clock::now() < end; ++rounds) {
    for (int step = 0; step < 256; ++step) mixed = mixed * 6364136223846793005U + 1;
    if (rounds % 128 == 0) sched_yield();
  }
  return mixed;
}

}  // namespace hotfire::reference
