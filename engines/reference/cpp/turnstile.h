// Lets only so many generates compute at once (`semaphore=1`). A POSIX semaphore with a name, as
// libraries use that hand theirs to processes they fork: the name goes as soon as the semaphore is
// open, so that nothing stays in /dev/shm however the process ends.
#pragma once

#include <semaphore.h>

namespace hotfire::reference {

class Turnstile {
 public:
  // With `keeps_name` (a defect) nobody unlinks the name. Throws Failed.
  explicit Turnstile(bool keeps_name);
  ~Turnstile() { sem_close(semaphore_); }
  Turnstile(const Turnstile&) = delete;
  Turnstile& operator=(const Turnstile&) = delete;

  void enter() noexcept;
  void leave() noexcept { sem_post(semaphore_); }

 private:
  sem_t* semaphore_;
};

// A way through a turnstile for the length of a scope; without a turnstile, nothing.
class Passage {
 public:
  explicit Passage(Turnstile* turnstile) : turnstile_(turnstile) {
    if (turnstile_ != nullptr) turnstile_->enter();
  }
  ~Passage() {
    if (turnstile_ != nullptr) turnstile_->leave();
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  Turnstile* const turnstile_;
};

}  // namespace hotfire::reference
