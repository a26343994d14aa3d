// The list and the handler. All statics are trivial (no constructor, no destructor): a program that
// is linked with this engine runs none of it unless asked.
#include "exit_hook.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>

#include "engine.h"

namespace hotfire::reference {
namespace {

pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
ExitEntry* first_entry = nullptr;
std::atomic<bool> registered{false};

void release_all() {
  pthread_mutex_lock(&list_mutex);
  for (ExitEntry* entry = first_entry; entry != nullptr; entry = entry->next)
    entry->engine->release_at_exit();
  pthread_mutex_unlock(&list_mutex);
}

}  // namespace

void enlist(ExitEntry& entry) noexcept {
  pthread_mutex_lock(&list_mutex);
  entry.next = first_entry;
  if (first_entry != nullptr) first_entry->previous = &entry;
  first_entry = &entry;
  pthread_mutex_unlock(&list_mutex);
}

void delist(ExitEntry& entry) noexcept {
  pthread_mutex_lock(&list_mutex);
  if (entry.previous != nullptr) entry.previous->next = entry.next;
  if (entry.previous == nullptr) first_entry = entry.next;
  if (entry.next != nullptr) entry.next->previous = entry.previous;
  pthread_mutex_unlock(&list_mutex);
}

void register_exit_handler() noexcept {
  if (!registered.exchange(true, std::memory_order_acq_rel)) std::atexit(release_all);
}

}  // namespace hotfire::reference
