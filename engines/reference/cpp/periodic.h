// A thread that takes a turn again and again until it is stopped, and a last one then; and the
// monitor, which notes the most tokens of a turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "ledger.h"

namespace hotfire::reference {

class Periodic {
 public:
  Periodic() = default;
  virtual ~Periodic();
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

 protected:
  // A turn belongs to the class that is derived: its destructor must have stopped the thread.
  virtual void turn() = 0;

  void start(const char* name);

  // Waits for the last turn. Later calls do nothing.
  void stop() noexcept;

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

class Monitor : public Periodic {
 public:
  // With `left_to_base` (a defect) the destructor leaves it to the base class to stop the thread.
  Monitor(const Ledger& ledger, std::uint64_t parent, const std::atomic<std::uint64_t>& tokens,
          bool left_to_base);
  ~Monitor() override;

 private:
  void turn() override;

  LedgerEntry entry_;
  const std::atomic<std::uint64_t>& tokens_;
  const bool left_to_base_;
  std::uint64_t last_ = 0;
  std::uint64_t most_ = 0;
};

}  // namespace hotfire::reference
