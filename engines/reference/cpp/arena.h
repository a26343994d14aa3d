// Memory straight from mmap between two guard pages, given back by munmap: what is used after its
// release or beyond its bounds faults by itself.
// An arena only grows; its pieces are not freed one by one. Threads may share it.
#pragma once

#include <cstddef>
#include <mutex>

namespace hotfire::reference {

class Arena {
 public:
  explicit Arena(std::size_t bytes);
  ~Arena() { release(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Zeroed memory, aligned to a cache line. Throws Failed when the arena is full.
  void* allocate(std::size_t bytes);

  template <typename T>
  T* allocate_array(std::size_t count) {
    return static_cast<T*>(allocate(count * sizeof(T)));
  }

  // Unmaps everything; later calls do nothing.
  void release() noexcept;

  // Leaves everything mapped for ever: what a destructor must not do.
  void forget() noexcept { base_ = nullptr; }

  const void* address() const noexcept { return base_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::byte* base_;
  std::size_t bytes_;
  std::size_t used_ = 0;
  std::mutex mutex_;
};

}  // namespace hotfire::reference
