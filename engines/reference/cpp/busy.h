// The racy window of a defect: real work for a stated time. Healthy engines never call it.
#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>

namespace hotfire::reference {

// Mixes numbers until `nanoseconds` have passed and gives others a turn now and then.
inline std::uint64_t busy_for(std::uint64_t nanoseconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(nanoseconds);
  std::uint64_t mixed = nanoseconds | 1;
  while (std::chrono::steady_clock::now() < end) {
    for (int round = 0; round < 256; ++round) mixed = mixed * 6364136223846793005U + 1;
    sched_yield();
  }
  return mixed;
}

}  // namespace hotfire::reference
