// The lifecycle's phases and who may pass in each.
#include "gate.h"

#include "errors.h"

namespace hotfire::reference {

void Gate::set(Phase phase) noexcept {
  phase_ = phase;
  State shown = State::created;
  switch (phase) {
    case Phase::created:
    case Phase::unloading: shown = State::created; break;
    case Phase::loading: shown = State::loading; break;
    case Phase::ready: shown = State::ready; break;
    case Phase::failed: shown = State::failed; break;
    case Phase::stopping:
    case Phase::stopped:
    case Phase::releasing:
    case Phase::released: shown = State::released; break;
  }
  state_.store(shown, std::memory_order_release);
  changed_.notify_all();
}

bool Gate::changing() const noexcept {
  return phase_ == Phase::loading || phase_ == Phase::unloading || phase_ == Phase::stopping ||
         phase_ == Phase::releasing;
}

void Gate::refuse() const {
  switch (phase_) {
    case Phase::created: throw Illegal("no model is loaded");
    case Phase::loading: throw Illegal("a load is under way");
    case Phase::ready: throw Illegal("a model is loaded already");
    case Phase::unloading: throw Illegal("an unload is under way");
    case Phase::failed: throw Illegal("the last load failed");
    case Phase::stopping:
    case Phase::stopped: throw Illegal("the engine is shut down");
    case Phase::releasing:
    case Phase::released: throw Illegal("the engine is released");
  }
  throw Illegal("unknown phase");
}

void Gate::begin_load() {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::created && phase_ != Phase::failed) refuse();
  set(Phase::loading);
}

void Gate::end_load(bool loaded) noexcept {
  std::lock_guard lock(mutex_);
  set(loaded ? Phase::ready : Phase::failed);
}

void Gate::begin_unload(bool at_once) {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::ready) refuse();
  set(Phase::unloading);
  if (!at_once) changed_.wait(lock, [this] { return users_ == 0; });
}

void Gate::end_unload() noexcept {
  std::lock_guard lock(mutex_);
  set(Phase::created);
}

bool Gate::passes(Unchecked unchecked) const noexcept {
  switch (phase_) {
    case Phase::ready: return true;
    case Phase::loading: return unchecked == Unchecked::end_of_load;
    case Phase::created:
    case Phase::failed: return unchecked == Unchecked::model;
    default: return false;
  }
}

void Gate::enter(Unchecked unchecked) {
  std::lock_guard lock(mutex_);
  if (!passes(unchecked)) refuse();
  ++users_;
}

void Gate::leave() noexcept {
  std::lock_guard lock(mutex_);
  --users_;
  if (users_ == 0) changed_.notify_all();
}

void Gate::require_alive() {
  std::lock_guard lock(mutex_);
  const bool alive = phase_ == Phase::created || phase_ == Phase::loading ||
                     phase_ == Phase::ready || phase_ == Phase::unloading ||
                     phase_ == Phase::failed;
  if (!alive) refuse();
}

void Gate::begin_shutdown() {
  std::unique_lock lock(mutex_);
  while (phase_ == Phase::loading || phase_ == Phase::unloading) changed_.wait(lock);
  if (phase_ != Phase::created && phase_ != Phase::ready && phase_ != Phase::failed) refuse();
  set(Phase::stopping);
  changed_.wait(lock, [this] { return users_ == 0; });
}

void Gate::end_shutdown() noexcept {
  std::lock_guard lock(mutex_);
  set(Phase::stopped);
}

bool Gate::begin_release(bool once_more) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !changing(); });
  if (phase_ == Phase::released && !once_more) return false;
  set(Phase::releasing);
  changed_.wait(lock, [this] { return users_ == 0; });
  return true;
}

void Gate::end_release() noexcept {
  std::lock_guard lock(mutex_);
  set(Phase::released);
}

}  // namespace hotfire::reference
