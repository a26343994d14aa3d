// One token through a one-layer transformer in whole numbers: the same everywhere, bit by bit.
// Does not own anything: weights come from a model, caches from a session, rows from a pool.
#pragma once

#include <cstdint>

#include "device.h"
#include "model.h"
#include "pool.h"
#include "session.h"

namespace hotfire::reference {

struct Machinery {
  Device& device;
  Pool& pool;
};

// Feeds `token` and returns the one that follows.
std::uint8_t next_token(const Model& model, Session& session, std::uint8_t token,
                        const Machinery& machinery);

}  // namespace hotfire::reference
