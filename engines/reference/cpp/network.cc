// The arithmetic. `src/oracle.rs` does the same sums in one thread and without arenas; a change
// here is a change there. All divisions truncate toward zero.
#include "network.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace hotfire::reference {
namespace {

constexpr std::size_t kRowsPerChunk = 64;

using Wide = std::array<std::int32_t, kHiddenMax>;     // sums
using Narrow = std::array<std::int16_t, kHiddenMax>;   // numbers of at most ±127

// Scales `values` so that the greatest is ±127.
void normalise(const std::int32_t* values, std::size_t count, std::int16_t* out) {
  std::int32_t greatest = 1;
  for (std::size_t at = 0; at < count; ++at) greatest = std::max(greatest, std::abs(values[at]));
  for (std::size_t at = 0; at < count; ++at)
    out[at] = static_cast<std::int16_t>(std::int64_t{values[at]} * 127 / greatest);
}

std::int32_t dot_product(const std::int16_t* left, const std::int16_t* right, std::size_t count) {
  std::int32_t sum = 0;
  for (std::size_t at = 0; at < count; ++at) sum += std::int32_t{left[at]} * right[at];
  return sum;
}

void multiply_rows(const Tensor& tensor, const std::int16_t* input, std::int32_t* out,
                   std::size_t first, std::size_t last) {
  for (std::size_t row = first; row < last; ++row)
    out[row] = dot_product(tensor.weights + row * tensor.columns, input, tensor.columns);
}

void multiply(const Tensor& tensor, const std::int16_t* input, std::int32_t* out) {
  multiply_rows(tensor, input, out, 0, tensor.rows);
}

void multiply_shared(Pool& pool, const Tensor& tensor, const std::int16_t* input,
                     std::int32_t* out) {
  pool.run(tensor.rows, kRowsPerChunk, [&](std::size_t first, std::size_t last) {
    multiply_rows(tensor, input, out, first, last);
  });
}

// Attends over the last `context` tokens; weights are the positive scores.
void attend(const Shape& shape, const Session& session, const std::int16_t* query,
            std::int16_t* out) {
  std::array<std::int64_t, kWidthMax> sums{};
  std::int64_t total = 1;
  const std::uint64_t seen = std::min<std::uint64_t>(session.position + 1, shape.context);
  for (std::uint64_t slot = 0; slot < seen; ++slot) {
    const std::int16_t* key = session.keys + slot * shape.width;
    const std::int16_t* value = session.values + slot * shape.width;
    const std::int64_t score = std::max(0, dot_product(query, key, shape.width));
    total += score;
    for (std::size_t at = 0; at < shape.width; ++at) sums[at] += score * value[at];
  }
  for (std::size_t at = 0; at < shape.width; ++at)
    out[at] = static_cast<std::int16_t>(sums[at] / total);
}

void add_scaled(std::int32_t* values, const std::int32_t* sums, std::size_t count) {
  for (std::size_t at = 0; at < count; ++at) values[at] += sums[at] / 128;
}

void embed(const Model& model, std::uint8_t token, std::uint64_t position, std::int32_t* out) {
  const Tensor& table = model.tensor(Role::embed);
  const std::int16_t* row = table.weights + token * table.columns;
  for (std::size_t at = 0; at < table.columns; ++at) {
    const auto wave = static_cast<std::int32_t>(position * (2 * at + 1) % 31) - 15;
    out[at] = row[at] * 64 + wave * 64;
  }
}

// The best logit, after a fixed stir that keeps the text from running in circles.
std::uint8_t pick(const Wide& logits, std::uint64_t position) {
  std::uint8_t best = 0;
  std::int64_t best_score = INT64_MIN;
  for (std::uint32_t token = 0; token < kVocabulary; ++token) {
    const auto mixed = static_cast<std::uint32_t>(position * 256 + token) * 2654435761U;
    const std::int64_t score = std::int64_t{logits[token]} + (mixed >> 19);
    if (score > best_score) {
      best_score = score;
      best = static_cast<std::uint8_t>(token);
    }
  }
  return best;
}

}  // namespace

std::uint8_t next_token(const Model& model, Session& session, std::uint8_t token,
                        const Machinery& machinery) {
  const Shape& shape = model.shape();
  const std::size_t width = shape.width;
  Wide stream{};
  Wide sums{};
  Narrow input{};
  Narrow query{};
  Narrow attended{};

  embed(model, token, session.position, stream.data());
  normalise(stream.data(), width, input.data());
  const std::size_t slot = session.position % shape.context * width;
  multiply(model.tensor(Role::query), input.data(), sums.data());
  normalise(sums.data(), width, query.data());
  machinery.device.run([&] {
    multiply(model.tensor(Role::key), input.data(), sums.data());
    normalise(sums.data(), width, session.keys + slot);
    multiply(model.tensor(Role::value), input.data(), sums.data());
    normalise(sums.data(), width, session.values + slot);
    attend(shape, session, query.data(), attended.data());
  });
  multiply(model.tensor(Role::output), attended.data(), sums.data());
  add_scaled(stream.data(), sums.data(), width);

  normalise(stream.data(), width, input.data());
  multiply(model.tensor(Role::up), input.data(), sums.data());
  for (std::int32_t& sum : sums) sum = std::max(sum, 0);
  normalise(sums.data(), shape.hidden, input.data());
  multiply(model.tensor(Role::down), input.data(), sums.data());
  add_scaled(stream.data(), sums.data(), width);

  normalise(stream.data(), width, input.data());
  multiply_shared(machinery.pool, model.tensor(Role::head), input.data(), sums.data());
  return pick(sums, session.position++);
}

}  // namespace hotfire::reference
