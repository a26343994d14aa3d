// Arenas over anonymous private mappings.
#include "arena.h"

#include <sys/mman.h>

#include "errors.h"

namespace hotfire::reference {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kPage = 4096;

constexpr std::size_t round_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

Arena::Arena(std::size_t bytes) : base_(nullptr), bytes_(round_up(bytes, kPage)) {
  void* mapped = mmap(nullptr, bytes_ + 2 * kPage, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw Failed("no memory for an arena");
  base_ = static_cast<std::byte*>(mapped) + kPage;
  if (mprotect(base_, bytes_, PROT_READ | PROT_WRITE) == 0) return;
  release();
  throw Failed("no memory for an arena");
}

void* Arena::allocate(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  const std::size_t start = round_up(used_, kLine);
  if (base_ == nullptr || start > bytes_ || bytes > bytes_ - start) throw Failed("an arena is full");
  used_ = start + bytes;
  return base_ + start;
}

void Arena::release() noexcept {
  if (base_ != nullptr) munmap(base_ - kPage, bytes_ + 2 * kPage);
  base_ = nullptr;
}

}  // namespace hotfire::reference
