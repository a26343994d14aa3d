// Reading models. The file is untrusted: every number in it is checked before it is used.
#include "model.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "errors.h"
#include "fnv.h"

namespace hotfire::reference {
namespace {

constexpr std::array<char, 8> kMagic = {'H', 'O', 'T', 'F', 'I', 'R', 'E', 'M'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kEntryBytes = 32;
constexpr std::size_t kHeaderBytes = 40;

template <typename T>
T number_at(const MappedFile& file, std::size_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(value));
  return value;
}

struct Extent {
  std::size_t rows;
  std::size_t columns;
};

// What size the tensor with this role must have.
Extent expected_extent(Role role, const Shape& shape) {
  switch (role) {
    case Role::embed:
    case Role::head: return {shape.vocabulary, shape.width};
    case Role::up: return {shape.hidden, shape.width};
    case Role::down: return {shape.width, shape.hidden};
    default: return {shape.width, shape.width};
  }
}

std::size_t weights_in(const Shape& shape) {
  std::size_t total = 0;
  for (std::size_t role = 0; role < kRoles; ++role) {
    const Extent extent = expected_extent(static_cast<Role>(role), shape);
    total += extent.rows * extent.columns;
  }
  return total;
}

Shape read_shape(const MappedFile& file) {
  if (file.bytes() < kHeaderBytes || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0)
    throw Failed("the file is no model");
  if (number_at<std::uint32_t>(file, 8) != kVersion) throw Failed("the model's version is unknown");
  const Shape shape{number_at<std::uint32_t>(file, 12), number_at<std::uint32_t>(file, 16),
                    number_at<std::uint32_t>(file, 20), number_at<std::uint32_t>(file, 24)};
  const bool fits = shape.vocabulary == kVocabulary && shape.width - 1 < kWidthMax &&
                    shape.hidden - 1 < kHiddenMax && shape.context - 1 < kContextMax;
  if (!fits) throw Failed("the model's shape is out of bounds");
  return shape;
}

// The extents of a blank model: as small as a model can be.
constexpr Shape kBlank{kVocabulary, 1, 1, 1};
// What an arena has beyond its weights, for alignment.
constexpr std::size_t kSlack = 4096;

}  // namespace

MappedFile::MappedFile(int fd) : data_(nullptr), bytes_(0) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || status.st_size <= 0) throw Failed("the model file is empty");
  bytes_ = static_cast<std::size_t>(status.st_size);
  void* mapped = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapped == MAP_FAILED) throw Failed("the model file can't be mapped");
  data_ = static_cast<const std::uint8_t*>(mapped);
}

MappedFile::~MappedFile() { munmap(const_cast<std::uint8_t*>(data_), bytes_); }

Model::Model(const Ledger& ledger, std::uint64_t parent, std::uint64_t source,
             const Defects& defects)
    : ledger_(ledger), defects_(defects), parent_(parent), source_(source) {}

void Model::read(const std::shared_ptr<const MappedFile>& mapped) {
  const MappedFile& file = *mapped;
  shape_ = read_shape(file);
  declared_ = number_at<std::uint32_t>(file, 28);
  if (declared_ != kRoles) throw Failed("the model's tensors are not the eight expected");
  if (file.bytes() < kHeaderBytes + declared_ * kEntryBytes) throw Failed("the model is cut short");
  arena_.emplace(weights_in(shape_) * sizeof(std::int16_t) + kSlack);
  entry_.emplace(ledger_, Resource::model, parent_, arena_->address(), arena_->bytes());
  chain_ = arena_->allocate_array<Tensor>(1);
  chain_->previous = chain_->next = chain_;
  tensors_ = arena_->allocate_array<Tensor>(declared_);
  std::size_t offset = kHeaderBytes + declared_ * kEntryBytes;
  Fnv checksum;
  for (std::size_t at = kMagic.size(); at < kHeaderBytes - 8; ++at) checksum.add(file.data()[at]);
  for (std::size_t index = 0; index < declared_; ++index) {
    build_tensor(file, index, offset);
    const std::size_t end = offset + tensors_[index].rows * tensors_[index].columns;
    for (; offset < end; ++offset) checksum.add(file.data()[offset]);
  }
  if (offset != file.bytes()) throw Failed("the model has bytes behind its end");
  if (number_at<std::uint64_t>(file, 32) != checksum.value())
    throw Failed("the model's checksum is wrong");
  if (defects_.truncated_model) {
    unread_ = mapped;
  } else {
    widen(file);
  }
}

void Model::make_blank() {
  shape_ = kBlank;
  arena_.emplace(weights_in(shape_) * sizeof(std::int16_t) + kSlack);
  tensors_ = arena_->allocate_array<Tensor>(kRoles);
  for (std::size_t role = 0; role < kRoles; ++role) shape_tensor(static_cast<Role>(role));
  link();
}

// The weights as the network wants them. Once they are here, nothing hangs on the file.
void Model::widen(const MappedFile& file) {
  const std::uint8_t* data = file.data() + kHeaderBytes + built_ * kEntryBytes;
  for (std::size_t index = 0; index < built_; ++index) {
    const Tensor& tensor = tensors_[index];
    for (std::size_t at = 0; at < tensor.rows * tensor.columns; ++at)
      tensor.weights[at] = static_cast<std::int8_t>(*data++);  // death: widen
  }
}

void Model::read_rest() {
  std::lock_guard lock(unread_mutex_);
  if (unread_ != nullptr) widen(*unread_);
  unread_.reset();
}

// Gives the role's tensor its size, and memory for its weights.
Tensor& Model::shape_tensor(Role role) {
  const Extent extent = expected_extent(role, shape_);
  Tensor& tensor = tensors_[static_cast<std::size_t>(role)];
  tensor.rows = extent.rows;
  tensor.columns = extent.columns;
  tensor.weights = arena_->allocate_array<std::int16_t>(extent.rows * extent.columns);
  return tensor;
}

// An entry of the table: role, rows, columns, 0 (each 4 bytes), offset and length (8 bytes). The
// data follow one another without gaps, so that a file has one form only.
void Model::build_tensor(const MappedFile& file, std::size_t index, std::size_t offset) {
  const std::size_t entry = kHeaderBytes + index * kEntryBytes;
  const std::string name = "tensor " + std::to_string(index);
  if (number_at<std::uint32_t>(file, entry) != index) throw Failed(name + " has an unknown role");
  const Extent extent = expected_extent(static_cast<Role>(index), shape_);
  if (number_at<std::uint32_t>(file, entry + 4) != extent.rows ||
      number_at<std::uint32_t>(file, entry + 8) != extent.columns)
    throw Failed(name + " has a wrong shape");
  const std::size_t bytes = extent.rows * extent.columns;
  if (number_at<std::uint64_t>(file, entry + 16) != offset ||
      number_at<std::uint64_t>(file, entry + 24) != bytes || bytes > file.bytes() - offset)
    throw Failed(name + " lies outside of the file");

  Tensor& tensor = shape_tensor(static_cast<Role>(index));
  tensor.previous = chain_->previous;
  tensor.next = chain_;
  tensor.previous->next = &tensor;
  chain_->previous = &tensor;
  tensor.ledger_id = next_ledger_id();
  ledger_.acquire(Resource::tensor, tensor.ledger_id, entry_->id(), tensor.weights,
                  bytes * sizeof(std::int16_t));
  ++built_;
}

void Model::link() noexcept {
  for (std::size_t role = 0; role < kRoles; ++role) by_role_[role] = &tensors_[role];
}

std::vector<std::uint8_t> Model::encode() const {
  std::vector<std::uint8_t> file(kMagic.begin(), kMagic.end());
  const auto append = [&file](auto number) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&number);
    file.insert(file.end(), bytes, bytes + sizeof(number));
  };
  for (const std::uint32_t number : {kVersion, shape_.vocabulary, shape_.width, shape_.hidden,
                                     shape_.context, static_cast<std::uint32_t>(built_)})
    append(number);
  Fnv checksum;
  for (std::size_t at = kMagic.size(); at < file.size(); ++at) checksum.add(file[at]);
  std::vector<std::uint8_t> data;
  for (std::size_t index = 0; index < built_; ++index) {
    const Tensor& tensor = tensors_[index];
    for (std::size_t at = 0; at < tensor.rows * tensor.columns; ++at) {
      data.push_back(static_cast<std::uint8_t>(tensor.weights[at]));
      checksum.add(data.back());
    }
  }
  append(checksum.value());
  std::uint64_t offset = kHeaderBytes + built_ * kEntryBytes;
  for (std::uint32_t index = 0; index < built_; ++index) {
    const Tensor& tensor = tensors_[index];
    const std::uint64_t bytes = tensor.rows * tensor.columns;
    append(index);
    append(static_cast<std::uint32_t>(tensor.rows));
    append(static_cast<std::uint32_t>(tensor.columns));
    append(std::uint32_t{0});
    append(offset);
    append(bytes);
    offset += bytes;
  }
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

void Model::unlink_tensor(Tensor& tensor) {
  tensor.previous->next = tensor.next;  // death: unlink
  tensor.next->previous = tensor.previous;
  ledger_.release(Resource::tensor, tensor.ledger_id);
}

void Model::unmap() noexcept {
  entry_->release();
  arena_->release();
}

Model::~Model() { release(); }

// Tensors leave the chain first; the arena goes after them.
void Model::release() noexcept {
  const std::size_t count = defects_.half_built_init ? declared_ : built_;
  for (std::size_t index = 0; index < count; ++index) unlink_tensor(tensors_[index]);
  if (entry_) entry_->release();
  if (defects_.leak_memory && arena_) arena_->forget();
  if (arena_) arena_->release();
  if (!defects_.double_cleanup) declared_ = built_ = 0;
}

}  // namespace hotfire::reference
