// The ways in which a step does not work. The bridge tells them apart by the text's beginning.
#pragma once

#include <stdexcept>
#include <string>

namespace hotfire::reference {

// The step is not legal in this state.
struct Illegal : std::runtime_error {
  explicit Illegal(const std::string& reason) : std::runtime_error("illegal now: " + reason) {}
};

// The step was cancelled.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// The engine tried and failed.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace hotfire::reference
