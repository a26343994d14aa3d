// The border to Rust: plain numbers and slices in, plain numbers or an exception out.
#pragma once

#include <cstdint>
#include <memory>

#include "engine.h"
#include "rust/cxx.h"

namespace hotfire::reference {

struct Settings;
struct Made;
struct LedgerPort;

// An engine as Rust holds it. Methods are const for Rust's sake: the engine has its own locks.
class Handle {
 public:
  explicit Handle(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  std::uint8_t state() const noexcept;
  std::uint64_t active_source() const noexcept;
  void load(std::int32_t fd, std::uint64_t source) const;
  void unload() const;
  void swap(std::int32_t fd, std::uint64_t source) const;
  Made generate(std::uint64_t count, rust::Slice<const std::uint8_t> prompt) const;
  Made export_model(std::int32_t fd, std::uint64_t milliseconds) const;
  void cancel() const;
  void cleanup() const;
  void shutdown() const;

 private:
  std::unique_ptr<Engine> engine_;
};

std::unique_ptr<Handle> open_engine(const Settings& settings, rust::Box<LedgerPort> port);

}  // namespace hotfire::reference
