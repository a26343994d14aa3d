// Ledger ids and entries. The counter is a trivial static: it needs no code at start or exit.
#include "ledger.h"

#include <atomic>

namespace hotfire::reference {

std::uint64_t next_ledger_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

LedgerEntry::LedgerEntry(const Ledger& ledger, Resource resource, std::uint64_t parent,
                         const void* address, std::size_t bytes)
    : ledger_(ledger), resource_(resource), id_(next_ledger_id()) {
  ledger_.acquire(resource_, id_, parent, address, bytes);
}

void LedgerEntry::release() noexcept {
  if (held_) ledger_.release(resource_, id_);
  held_ = false;
}

}  // namespace hotfire::reference
