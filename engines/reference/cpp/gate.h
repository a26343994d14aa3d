// Says which steps are legal now, and lets a step that takes things away wait for those that use
// them. An illegal step is refused at once; only release, unload and shutdown wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace hotfire::reference {

// What the engine says of itself; the numbers cross the bridge.
enum class State : std::uint8_t { created = 0, loading = 1, ready = 2, released = 3, failed = 4 };

// Which check of a user a defect leaves out.
enum class Unchecked { nothing, end_of_load, model };

class Gate {
 public:
  // Never blocks.
  State state() const noexcept { return state_.load(std::memory_order_acquire); }

  void begin_load();
  void end_load(bool loaded) noexcept;

  // Waits until nobody uses the model. `at_once` is a defect's missing wait.
  void begin_unload(bool at_once = false);
  void end_unload() noexcept;

  // Counts the caller as a user of the model.
  void enter(Unchecked unchecked = Unchecked::nothing);
  void leave() noexcept;

  // Refuses when released or shut down; else nothing.
  void require_alive();

  // Waits for every step in flight, then keeps all others out. Refuses a second time.
  void begin_shutdown();
  void end_shutdown() noexcept;

  // As shutdown; false when all is released already. `once_more` is a defect's missing check.
  bool begin_release(bool once_more = false);
  void end_release() noexcept;

 private:
  enum class Phase { created, loading, ready, unloading, failed, stopping, stopped, releasing, released };

  void set(Phase phase) noexcept;
  bool changing() const noexcept;
  bool passes(Unchecked unchecked) const noexcept;
  [[noreturn]] void refuse() const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Phase phase_ = Phase::created;
  std::uint32_t users_ = 0;
  std::atomic<State> state_{State::created};
};

// A user of the model, for the length of a scope.
class Use {
 public:
  explicit Use(Gate& gate, Unchecked unchecked = Unchecked::nothing) : gate_(gate) {
    gate_.enter(unchecked);
  }
  ~Use() { gate_.leave(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Gate& gate_;
};

}  // namespace hotfire::reference
