// Threads through std::async; children through fork, with the result in shared memory.
#include "exports.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <utility>

#include "errors.h"

namespace hotfire::reference {
namespace {

bool has_ended(const std::future<void>& one) {
  return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

// The child shares nothing but the result. It ends with the thread that forked it, which waits.
[[noreturn]] void serve(const std::function<Produced()>& work, Produced& result) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    result = work();
  } catch (const std::exception&) {
    _exit(1);
  }
  _exit(0);
}

}  // namespace

void Exports::start(std::function<void()> work, bool waits) {
  // The future would keep what the work holds; a local lets go of it when the work ends.
  std::future<void> one =
      std::async(std::launch::async, [work = std::move(work)]() mutable { std::exchange(work, {})(); });
  if (waits) return;
  std::lock_guard lock(mutex_);
  under_way_.erase(std::remove_if(under_way_.begin(), under_way_.end(), has_ended),
                   under_way_.end());
  under_way_.push_back(std::move(one));
}

Produced produce_in_child(const std::function<Produced()>& work) {
  void* shared = mmap(nullptr, sizeof(Produced), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw Failed("no memory for a child's result");
  auto& result = *static_cast<Produced*>(shared);
  const pid_t child = fork();
  if (child == 0) serve(work, result);
  int status = -1;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const Produced produced = result;
  munmap(shared, sizeof(Produced));
  if (status != 0) throw Failed("the child that exports has failed");
  return produced;
}

}  // namespace hotfire::reference
