// Reports what is acquired and released, so that an observer can check the order.
// Does not judge, and does nothing when no observer listens.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hotfire::reference {

// The numbers of the recorder's resources.
enum class Resource : std::uint8_t {
  engine = 1,
  model = 2,
  tensor = 3,
  session = 4,
  worker = 5,
  process = 6,
  device = 7,
};

class Ledger {
 public:
  virtual ~Ledger() = default;
  virtual void acquire(Resource resource, std::uint64_t id, std::uint64_t parent,
                       const void* address, std::size_t bytes) const = 0;
  virtual void release(Resource resource, std::uint64_t id) const = 0;
};

// An id that no other resource of this process has or had.
std::uint64_t next_ledger_id() noexcept;

// One acquired resource: reported when made, reported released when destroyed or before.
class LedgerEntry {
 public:
  LedgerEntry(const Ledger& ledger, Resource resource, std::uint64_t parent,
              const void* address = nullptr, std::size_t bytes = 0);
  ~LedgerEntry() { release(); }
  LedgerEntry(const LedgerEntry&) = delete;
  LedgerEntry& operator=(const LedgerEntry&) = delete;

  // Reports the release; later calls do nothing.
  void release() noexcept;

  std::uint64_t id() const noexcept { return id_; }

 private:
  const Ledger& ledger_;
  Resource resource_;
  std::uint64_t id_;
  bool held_ = true;
};

}  // namespace hotfire::reference
