// Making and passing the semaphore.
#include "turnstile.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>

#include "errors.h"

namespace hotfire::reference {
namespace {

constexpr unsigned kAtOnce = 2;

std::atomic<std::uint64_t> names_given{0};

}  // namespace

Turnstile::Turnstile(bool keeps_name) : semaphore_(SEM_FAILED) {
  std::string name;
  do {
    // A process that had this one's pid may have left its names.
    name = "/ref-" + std::to_string(getpid()) + "-" + std::to_string(++names_given);
    semaphore_ = sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, kAtOnce);
  } while (semaphore_ == SEM_FAILED && errno == EEXIST);
  if (semaphore_ == SEM_FAILED) throw Failed("no semaphore for a model");
  if (!keeps_name) sem_unlink(name.c_str());
}

void Turnstile::enter() noexcept {
  while (sem_wait(semaphore_) != 0 && errno == EINTR) {
  }
}

}  // namespace hotfire::reference
