// The worker pool: one queue under one lock; a job lives on its caller's stack.
#include "pool.h"

#include <pthread.h>

#include <algorithm>

#include "busy.h"

namespace hotfire::reference {
namespace {

constexpr std::uint64_t kWakeWindowNs = 2'000'000;

// A worker's last act: it notes in the device's memory that it has gone.
void retire(WorkerStatistics& statistics) { statistics.retired = statistics.rows + 1; }

}  // namespace

Pool::Pool(const Ledger& ledger, std::uint64_t parent, Shape shape, const Options& options)
    : ledger_(ledger), parent_(parent), shape_(shape), options_(options) {}

void Pool::start(Arena& arena) {
  if (running()) return;
  std::lock_guard lock(start_mutex_);
  while (workers_.size() < shape_.workers) {
    const std::size_t index = workers_.size();
    auto* statistics = arena.allocate_array<WorkerStatistics>(1);
    auto entry = std::make_unique<LedgerEntry>(ledger_, Resource::worker, parent_, statistics,
                                               sizeof(WorkerStatistics));
    workers_.reserve(shape_.workers);
    workers_.push_back({statistics, std::move(entry),
                        std::thread([this, index, statistics] { work(index, *statistics); })});
  }
  running_.store(true, std::memory_order_release);
}

void Pool::stop() noexcept {
  std::lock_guard starting(start_mutex_);
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  for (Worker& worker : workers_) {
    if (options_.defects.worker_outlives_engine) {
      worker.thread.detach();
    } else if (!options_.defects.joinable_thread) {
      worker.thread.join();
    }
  }
  workers_.clear();  // death: forget
  running_.store(false, std::memory_order_release);
  std::lock_guard lock(mutex_);
  stopping_ = options_.defects.worker_outlives_engine;
}

// Takes the next rows of `job` and works on them without the lock. Returns how many.
std::size_t Pool::take_chunk(Job& job, std::unique_lock<std::mutex>& lock) {
  const std::size_t first = job.next;
  const std::size_t last = std::min(job.rows, first + job.chunk);
  job.next = last;
  if (last == job.rows) queue_.erase(std::find(queue_.begin(), queue_.end(), &job));
  lock.unlock();
  job.body(first, last);
  lock.lock();
  job.done += last - first;
  if (job.done == job.rows) done_.notify_all();
  return last - first;
}

void Pool::work(std::size_t index, WorkerStatistics& statistics) {
  const std::string name = std::string(shape_.name) + "-" + std::to_string(index);
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) break;
      statistics.rows += take_chunk(*queue_.front(), lock);
    }
  }
  retire(statistics);  // death: retire
}

void Pool::run(std::size_t rows, std::size_t chunk, const Body& body) {
  if (rows == 0) return;
  Job job{body, rows, std::max<std::size_t>(chunk, 1)};
  finish(job, shape_.caller_helps);
}

void Pool::run_apart(const std::function<void()>& command) {
  const Body body = [&command](std::size_t, std::size_t) { command(); };
  Job job{body, 1, 1};
  finish(job, false);
}

void Pool::finish(Job& job, bool caller_helps) {
  std::unique_lock lock(mutex_);
  queue_.push_back(&job);
  work_.notify_one();
  if (caller_helps) {
    while (job.next < job.rows) take_chunk(job, lock);
  }
  wait_until_done(job, lock);
}

// The wait checks and sleeps under one lock. With the defect, what is notified between the two is
// lost.
void Pool::wait_until_done(const Job& job, std::unique_lock<std::mutex>& lock) {
  const auto is_done = [&job] { return job.done == job.rows; };
  if (!options_.defects.lost_wakeup) return done_.wait(lock, is_done);
  while (!is_done()) {
    lock.unlock();
    busy_for(options_.window(kWakeWindowNs));
    lock.lock();
    done_.wait(lock);
  }
}

}  // namespace hotfire::reference
