// A file descriptor that its owner closes. Does not open any.
#pragma once

#include <unistd.h>

namespace hotfire::reference {

class Descriptor {
 public:
  // Takes over `fd`. With `stays_open` (a defect) nobody closes it.
  Descriptor(int fd, bool stays_open) : fd_(fd), stays_open_(stays_open) {}
  ~Descriptor() {
    if (!stays_open_) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const noexcept { return fd_; }

 private:
  const int fd_;
  const bool stays_open_;
};

}  // namespace hotfire::reference
