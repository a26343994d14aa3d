// A second process that prepares prompts for the engine. It talks over a socket pair, holds nothing
// else of its parent's, and ends when its end of the socket says that the parent is gone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "ledger.h"

namespace hotfire::reference {

class WorkerProcess {
 public:
  // Forks. With `outlives_parent` (a defect) nobody tells the process to end; it ends by itself
  // after 60 seconds.
  WorkerProcess(const Ledger& ledger, std::uint64_t parent, bool outlives_parent);
  ~WorkerProcess() { stop(); }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Lets the process fold a prompt to the bytes that the network reads. Throws Failed.
  std::vector<std::uint8_t> prepare(const std::uint8_t* prompt, std::size_t bytes);

  // Closes the socket and reaps the process. Later calls do nothing.
  void stop() noexcept;

 private:
  const bool outlives_parent_;
  std::mutex mutex_;
  int socket_ = -1;
  pid_t pid_ = -1;
  std::uint64_t ledger_id_ = 0;
  const Ledger& ledger_;
};

// What the process does with each byte of a prompt; without a process the engine does it itself.
inline std::uint8_t fold(std::uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte - 'A' + 'a') : byte;
}

}  // namespace hotfire::reference
