// Exports that go on behind their step, in threads, and exports that a forked child makes.
#pragma once

#include <functional>
#include <future>
#include <mutex>
#include <vector>

#include "options.h"

namespace hotfire::reference {

struct Produced {
  std::uint64_t digest;
  std::uint64_t count;
};

// The exports under way. The destructor waits for them.
class Exports {
 public:
  // Runs `work` in a thread and returns at once. With `waits` (a defect) nobody keeps the future,
  // whose destructor then waits for the thread.
  void start(std::function<void()> work, bool waits);

 private:
  std::mutex mutex_;
  std::vector<std::future<void>> under_way_;
};

// Lets a child that is forked off do `work`, and waits for its end. Throws Failed.
Produced produce_in_child(const std::function<Produced()>& work);

}  // namespace hotfire::reference
