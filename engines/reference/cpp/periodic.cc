// The thread's loop, and what the monitor does in a turn.
#include "periodic.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace hotfire::reference {
namespace {

constexpr std::chrono::milliseconds kPeriod{2};

}  // namespace

Periodic::~Periodic() { stop(); }

void Periodic::start(const char* name) {
  thread_ = std::thread([this] { work(); });
  pthread_setname_np(thread_.native_handle(), name);
}

void Periodic::stop() noexcept {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Periodic::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    turn();  // death: turn
    lock.lock();
    changed_.wait_for(lock, kPeriod, [this] { return stopping_; });
  }
  turn();  // death: turn
}

Monitor::Monitor(const Ledger& ledger, std::uint64_t parent,
                 const std::atomic<std::uint64_t>& tokens, bool left_to_base)
    : entry_(ledger, Resource::worker, parent), tokens_(tokens), left_to_base_(left_to_base) {
  start("ref-monitor");
}

Monitor::~Monitor() {
  if (!left_to_base_) stop();
}

void Monitor::turn() {
  const std::uint64_t now = tokens_.load();
  most_ = std::max(most_, now - last_);
  last_ = now;
}

}  // namespace hotfire::reference
