// Where caches live and attention runs. The host device computes in the calling thread; the aux
// device has a command thread of its own, which must end before its memory goes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "arena.h"
#include "ledger.h"
#include "options.h"
#include "pool.h"

namespace hotfire::reference {

class Device {
 public:
  Device(const Ledger& ledger, std::uint64_t parent, const Options& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Runs `command` on the device and waits for its end.
  void run(const std::function<void()>& command);

  // Unmaps the memory while the rest of the device stays: for the exit handler.
  void unmap() noexcept;

  // Memory for caches and worker statistics.
  Arena& arena() noexcept { return arena_; }
  std::uint64_t id() const noexcept { return entry_.id(); }

 private:
  Arena arena_;
  LedgerEntry entry_;
  std::unique_ptr<Pool> commands_;
};

}  // namespace hotfire::reference
