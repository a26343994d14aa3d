// A model: weights from a mapped file, widened into an arena of their own and chained in a list
// that lives in that arena. Built in two steps, read and link; only a linked model can compute.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "arena.h"
#include "ledger.h"
#include "options.h"
#include "turnstile.h"

namespace hotfire::reference {

// A file mapped privately, for the length of a load.
class MappedFile {
 public:
  explicit MappedFile(int fd);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::uint8_t* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  const std::uint8_t* data_;
  std::size_t bytes_;
};

// The tensors of a model, in file order.
enum class Role : std::uint32_t { embed, query, key, value, output, up, down, head };
constexpr std::size_t kRoles = 8;

// A matrix in the arena. The neighbours chain all tensors of a model.
struct Tensor {
  Tensor* previous;
  Tensor* next;
  std::uint64_t ledger_id;
  std::size_t rows;
  std::size_t columns;
  std::int16_t* weights;
};

struct Shape {
  std::uint32_t vocabulary;
  std::uint32_t width;
  std::uint32_t hidden;
  std::uint32_t context;
};

// Limits on what a file may ask for; stack buffers are sized by them.
constexpr std::uint32_t kVocabulary = 256;
constexpr std::uint32_t kWidthMax = 128;
constexpr std::uint32_t kHiddenMax = 512;
constexpr std::uint32_t kContextMax = 1024;

class Model {
 public:
  Model(const Ledger& ledger, std::uint64_t parent, std::uint64_t source, const Defects& defects);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Checks the file, maps the arena and builds the tensors. Throws Failed.
  void read(const std::shared_ptr<const MappedFile>& file);

  // Instead of read and link: the smallest model, with weights that nobody has written.
  void make_blank();

  // Widens the weights that a defective read left in the file; later calls do nothing.
  void read_rest();

  // Makes the tensors reachable by their roles: from here on the model computes.
  void link() noexcept;

  // Releases the memory before the tensors; the order that a destructor must not have.
  void unmap() noexcept;

  // From here on generates pass through `turnstile`.
  void guard(std::unique_ptr<Turnstile> turnstile) { turnstile_ = std::move(turnstile); }
  // Takes the tensors out of the chain and unmaps the memory; what the destructor does.
  void release() noexcept;

  // The model as a file, byte for byte what it was read from.
  std::vector<std::uint8_t> encode() const;

  const Tensor& tensor(Role role) const { return *by_role_[static_cast<std::size_t>(role)]; }
  const Shape& shape() const noexcept { return shape_; }
  std::uint64_t source() const noexcept { return source_; }
  Turnstile* turnstile() const noexcept { return turnstile_.get(); }

 private:
  Tensor& shape_tensor(Role role);
  void build_tensor(const MappedFile& file, std::size_t index, std::size_t offset);
  void widen(const MappedFile& file);
  void unlink_tensor(Tensor& tensor);

  const Ledger& ledger_;
  const Defects& defects_;
  const std::uint64_t parent_;
  const std::uint64_t source_;
  std::optional<Arena> arena_;
  std::unique_ptr<Turnstile> turnstile_;
  std::optional<LedgerEntry> entry_;
  Shape shape_{};
  Tensor* chain_ = nullptr;    // the list's head, in the arena
  Tensor* tensors_ = nullptr;  // all tensors in file order, in the arena
  std::size_t declared_ = 0;   // what the header promises
  std::size_t built_ = 0;      // what stands in the arena
  std::array<const Tensor*, kRoles> by_role_{};
  std::shared_ptr<const MappedFile> unread_;  // the file whose weights are still to be widened
  std::mutex unread_mutex_;
};

}  // namespace hotfire::reference
