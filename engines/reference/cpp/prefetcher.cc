// The thread that reads ahead, and its one-file queue.
#include "prefetcher.h"

#include <fcntl.h>
#include <pthread.h>

#include <condition_variable>
#include <mutex>

namespace hotfire::reference {
namespace {

constexpr int kNoFile = -1;

}  // namespace

struct Prefetcher::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  int fd = kNoFile;
  bool stopping = false;

  void work() {
    pthread_setname_np(pthread_self(), "ref-prefetch");
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopping || fd != kNoFile; });
      if (fd == kNoFile) return;
      const int file = fd;
      lock.unlock();
      // A hint: what can't be read ahead is read by the load.
      static_cast<void>(posix_fadvise(file, 0, 0, POSIX_FADV_WILLNEED));
      lock.lock();
      fd = kNoFile;
      changed.notify_all();
    }
  }
};

Prefetcher::Prefetcher(bool never_told)
    : never_told_(never_told),
      shared_(std::make_shared<Shared>()),
      thread_([shared = shared_] { shared->work(); }) {}

void Prefetcher::fetch(int fd) {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait(lock, [this] { return shared_->fd == kNoFile; });
  shared_->fd = fd;
  shared_->changed.notify_all();
}

Prefetcher::~Prefetcher() {
  {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait(lock, [this] { return shared_->fd == kNoFile; });
    shared_->stopping = !never_told_;
    shared_->changed.notify_all();
  }
  if (never_told_) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

}  // namespace hotfire::reference
