// Worker threads that share out the rows of a job. Started on request, stopped and joined by name.
// Several callers may run jobs at once. Does not steal, pin or prioritise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "arena.h"
#include "ledger.h"
#include "options.h"

namespace hotfire::reference {

// What a worker did, kept in the device's memory so that it can be read beside the caches.
struct WorkerStatistics {
  std::uint64_t rows;
  std::uint64_t retired;
};

class Pool {
 public:
  // Does something to the rows [first, last).
  using Body = std::function<void(std::size_t first, std::size_t last)>;

  struct Shape {
    const char* name;      // threads are called NAME-0, NAME-1, …
    std::size_t workers;
    bool caller_helps;     // the calling thread works on its own job too
  };

  Pool(const Ledger& ledger, std::uint64_t parent, Shape shape, const Options& options);
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Starts the threads if they do not run; their statistics live in `arena`.
  void start(Arena& arena);

  // Lets the threads finish what is queued, retire and end. A stopped pool can start again.
  void stop() noexcept;

  bool running() const noexcept { return running_.load(std::memory_order_acquire); }

  // Runs `body` over all rows; returns when the last row is done.
  void run(std::size_t rows, std::size_t chunk, const Body& body);

  // Lets a worker do `command`, and waits for its end.
  void run_apart(const std::function<void()>& command);

 private:
  struct Job {
    const Body& body;
    std::size_t rows;
    std::size_t chunk;
    std::size_t next = 0;
    std::size_t done = 0;
  };
  struct Worker {
    WorkerStatistics* statistics;
    std::unique_ptr<LedgerEntry> entry;
    std::thread thread;
  };

  void finish(Job& job, bool caller_helps);
  void wait_until_done(const Job& job, std::unique_lock<std::mutex>& lock);
  void work(std::size_t index, WorkerStatistics& statistics);
  std::size_t take_chunk(Job& job, std::unique_lock<std::mutex>& lock);

  const Ledger& ledger_;
  const std::uint64_t parent_;
  const Shape shape_;
  const Options& options_;
  std::mutex start_mutex_;
  std::vector<Worker> workers_;
  std::atomic<bool> running_{false};

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<Job*> queue_;
  bool stopping_ = false;
};

}  // namespace hotfire::reference
