// Generation sessions: a position and a key/value cache in the device's memory. Idle sessions are
// kept for the next generate. Not thread-safe: the engine's session lock guards the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device.h"
#include "ledger.h"
#include "model.h"

namespace hotfire::reference {

// Lives in the device's memory, with its caches right behind.
struct Session {
  std::uint64_t ledger_id;
  std::uint64_t position;  // tokens seen
  std::uint64_t closed;
  std::size_t capacity;    // cached numbers, keys and values each
  std::int16_t* keys;
  std::int16_t* values;
};

class SessionStore {
 public:
  SessionStore(const Ledger& ledger, Device& device) : ledger_(ledger), device_(device) {}
  ~SessionStore() { clear(); }
  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  // A session that nobody uses, made if need be. Throws Failed when the memory is full.
  Session& acquire(const Shape& shape);
  void give_back(Session& session) { idle_.push_back(&session); }

  // Closes all sessions: each writes its end into its memory.
  void clear();

 private:
  Session& make(std::size_t capacity);

  const Ledger& ledger_;
  Device& device_;
  std::vector<Session*> all_;
  std::vector<Session*> idle_;
};

}  // namespace hotfire::reference
