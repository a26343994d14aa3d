// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): digests of tokens and files.
#pragma once

#include <cstdint>

namespace hotfire::reference {

class Fnv {
 public:
  void add(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

}  // namespace hotfire::reference
