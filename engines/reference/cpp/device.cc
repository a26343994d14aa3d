// The two devices.
#include "device.h"

namespace hotfire::reference {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{5} << 20;

}  // namespace

Device::Device(const Ledger& ledger, std::uint64_t parent, const Options& options)
    : arena_(kArenaBytes),
      entry_(ledger, Resource::device, parent, arena_.address(), arena_.bytes()) {
  if (!options.aux_device) return;
  commands_ = std::make_unique<Pool>(ledger, entry_.id(), Pool::Shape{"ref-aux", 1, false}, options);
  commands_->start(arena_);
}

// Members go in reverse order: the command thread ends first, the memory is unmapped last.
Device::~Device() = default;

void Device::unmap() noexcept {
  entry_.release();
  arena_.release();
}

void Device::run(const std::function<void()>& command) {
  if (commands_ == nullptr) return command();
  commands_->run_apart(command);
}

}  // namespace hotfire::reference
