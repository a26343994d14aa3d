// Making, reusing and closing sessions.
#include "session.h"

#include <algorithm>

namespace hotfire::reference {

Session& SessionStore::acquire(const Shape& shape) {
  const std::size_t capacity = std::size_t{shape.width} * shape.context;
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [capacity](const Session* session) {
    return session->capacity >= capacity;
  });
  Session* session = nullptr;
  if (found == idle_.rend()) {
    session = &make(capacity);
  } else {
    session = *found;
    idle_.erase(std::next(found).base());
  }
  session->position = 0;
  return *session;
}

Session& SessionStore::make(std::size_t capacity) {
  all_.reserve(all_.size() + 1);
  idle_.reserve(all_.size() + 1);
  const std::size_t cache_bytes = capacity * sizeof(std::int16_t);
  auto* session = device_.arena().allocate_array<Session>(1);
  session->capacity = capacity;
  session->keys = device_.arena().allocate_array<std::int16_t>(capacity);
  session->values = device_.arena().allocate_array<std::int16_t>(capacity);
  session->ledger_id = next_ledger_id();
  ledger_.acquire(Resource::session, session->ledger_id, device_.id(), session->keys,
                  2 * cache_bytes);
  all_.push_back(session);
  return *session;
}

void SessionStore::clear() {
  for (Session* session : all_) {
    session->closed = session->position;  // death: close
    ledger_.release(Resource::session, session->ledger_id);
  }
  all_.clear();
  idle_.clear();
}

}  // namespace hotfire::reference
