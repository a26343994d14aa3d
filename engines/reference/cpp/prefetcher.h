// A thread that asks the kernel to read files ahead, beside a load that parses them: for files on
// slow disks (`prefetch=1`). It ends with its owner. Does not touch the bytes.
#pragma once

#include <memory>
#include <thread>

namespace hotfire::reference {

class Prefetcher {
 public:
  // Starts the thread. With `never_told` (a defect) nobody tells it to end: it waits for ever.
  explicit Prefetcher(bool never_told);

  // Waits until nothing is read any more; then the thread is told to end, and joined.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // Reads a whole file ahead, and returns at once. `fd` must stay open until the destructor ends.
  void fetch(int fd);

 private:
  struct Shared;

  const bool never_told_;
  const std::shared_ptr<Shared> shared_;  // the thread has a share: it may live longer
  std::thread thread_;
};

}  // namespace hotfire::reference
