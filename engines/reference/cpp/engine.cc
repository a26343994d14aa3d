// The lifecycle. Each defect is one `if` that chooses another order, bound, lock or lifetime.
#include "engine.h"

#include <unistd.h>

#include <chrono>

#include "busy.h"
#include "errors.h"
#include "fnv.h"
#include "network.h"

namespace hotfire::reference {
namespace {

constexpr std::uint64_t kLoadWindowNs = 5'000'000;
constexpr std::uint64_t kSwapWindowNs = 3'000'000;
constexpr std::uint8_t kBeginToken = 0;

}  // namespace

Engine::Engine(const Options& options, std::unique_ptr<Ledger> ledger)
    : options_(options), ledger_(std::move(ledger)), entry_(*ledger_, Resource::engine, 0) {
  const bool orphan = options_.defects.orphan_worker;
  if (options_.worker_process || orphan)
    process_ = std::make_unique<WorkerProcess>(*ledger_, entry_.id(), orphan);
  device_ = std::make_unique<Device>(*ledger_, entry_.id(), options_.aux_device);
  pool_ = std::make_unique<Pool>(*ledger_, entry_.id(), Pool::Shape{"ref-worker", 2, true});
  sessions_ = std::make_unique<SessionStore>(*ledger_, *device_);
  exit_entry_.engine = this;
  enlist(exit_entry_);
}

Engine::~Engine() {
  delist(exit_entry_);
  if (!gate_.begin_release()) return;
  if (options_.defects.cleanup_order) {
    release_memory_first();
  } else {
    release_memory();
  }
}

std::uint64_t Engine::window(std::uint64_t default_ns) const {
  return options_.window_ns == 0 ? default_ns : options_.window_ns;
}

// What points into memory goes before the memory: workers, sessions, tensors, then the arenas.
void Engine::release_memory() {
  pool_->stop();
  sessions_.reset();
  model_.reset();
  active_source_ = 0;
  device_.reset();
  process_.reset();
}

void Engine::release_memory_first() {
  pool_->stop();
  if (model_ != nullptr) model_->unmap();
  device_->unmap();
  model_.reset();
  sessions_.reset();
}

std::shared_ptr<Model> Engine::make_model(std::uint64_t source) const {
  auto model = std::make_shared<Model>(*ledger_, entry_.id(), source, options_.defects);
  const bool keeps_name = options_.defects.leak_semaphore;
  if (options_.semaphore || keeps_name) model->guard(std::make_unique<Turnstile>(keeps_name));
  return model;
}

// Reads ahead for as long as what it returns lives.
std::unique_ptr<Prefetcher> Engine::prefetch(int fd) const {
  const bool never_told = options_.defects.leak_thread;
  if (!options_.prefetch && !never_told) return nullptr;
  auto prefetcher = std::make_unique<Prefetcher>(never_told);
  prefetcher->fetch(fd);
  return prefetcher;
}

void Engine::publish(std::shared_ptr<Model> model, std::uint64_t source) {
  std::lock_guard sessions(session_mutex_);
  std::lock_guard models(model_mutex_);
  model_.swap(model);
  active_source_ = source;
}

void Engine::load(int fd, std::uint64_t source) {
  const Descriptor own(fd, options_.defects.leak_fd);
  gate_.begin_load();
  try {
    load_model(own.get(), source);
  } catch (...) {
    gate_.end_load(false);
    throw;
  }
  gate_.end_load(true);
}

void Engine::load_model(int fd, std::uint64_t source) {
  const auto ahead = prefetch(fd);
  const MappedFile file(fd);
  auto model = make_model(source);
  if (options_.defects.half_built_init) publish(model, source);
  model->read(file);
  if (options_.defects.generate_during_load) {
    publish(model, source);
    busy_for(window(kLoadWindowNs));
  }
  model->link();
  publish(std::move(model), source);
}

void Engine::unload() {
  gate_.begin_unload();
  publish(nullptr, 0);
  gate_.end_unload();
}

void Engine::swap(int fd, std::uint64_t source) {
  const Descriptor own(fd, options_.defects.leak_fd);
  const Use use(gate_);
  const auto ahead = prefetch(own.get());
  const MappedFile file(own.get());
  auto model = make_model(source);
  model->read(file);
  model->link();
  if (!options_.defects.swap_deadlock) return publish(std::move(model), source);
  std::lock_guard models(model_mutex_);
  busy_for(window(kSwapWindowNs));
  std::lock_guard sessions(session_mutex_);
  model_.swap(model);
  active_source_ = source;
}

std::shared_ptr<Model> Engine::current_model() {
  std::lock_guard models(model_mutex_);
  return model_;
}

Engine::Lease Engine::lease() {
  std::lock_guard sessions(session_mutex_);
  if (options_.defects.swap_deadlock) busy_for(window(kSwapWindowNs));
  Lease lease{current_model(), nullptr};
  if (lease.model == nullptr) throw Illegal("no model is loaded");
  lease.session = &sessions_->acquire(lease.model->shape());
  return lease;
}

void Engine::end_lease(Lease& lease) {
  std::lock_guard sessions(session_mutex_);
  sessions_->give_back(*lease.session);
}

std::vector<std::uint8_t> Engine::prepare_prompt(Bytes prompt) {
  if (process_ != nullptr) return process_->prepare(prompt.data, prompt.count);
  std::vector<std::uint8_t> folded(prompt.data, prompt.data + prompt.count);
  for (std::uint8_t& byte : folded) byte = fold(byte);
  return folded;
}

Produced Engine::generate(std::uint64_t count, Bytes prompt) {
  const bool during_load = options_.defects.generate_during_load;
  if (during_load) busy_for(window(kLoadWindowNs) / 4);
  const Use use(gate_, during_load);
  register_exit_handler();
  pool_->start(device_->arena());
  const std::vector<std::uint8_t> folded = prepare_prompt(prompt);
  Lease held = lease();
  try {
    const Produced produced = run(held, count, folded);
    end_lease(held);
    return produced;
  } catch (...) {
    end_lease(held);
    throw;
  }
}

Produced Engine::run(const Lease& lease, std::uint64_t count,
                     const std::vector<std::uint8_t>& prompt) {
  const std::uint64_t epoch = cancel_epoch_.load();
  const Passage passage(lease.model->turnstile());
  const Machinery machinery{*device_, *pool_};
  Fnv digest;
  std::uint8_t token = next_token(*lease.model, *lease.session, kBeginToken, machinery);
  for (const std::uint8_t byte : prompt)
    token = next_token(*lease.model, *lease.session, byte, machinery);
  for (std::uint64_t made = 0; made < count; ++made) {
    check_cancelled(epoch);
    digest.add(token);
    token = next_token(*lease.model, *lease.session, token, machinery);
  }
  return {digest.value(), count};
}

void Engine::check_cancelled(std::uint64_t epoch) const {
  if (cancel_epoch_.load() != epoch || exiting_.load()) throw Cancelled();
}

Produced Engine::export_model(int fd, std::uint64_t milliseconds) {
  const Use use(gate_);
  const std::uint64_t epoch = cancel_epoch_.load();
  const std::shared_ptr<Model> model = current_model();
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  std::vector<std::uint8_t> encoded;
  do {
    check_cancelled(epoch);
    encoded = model->encode();
  } while (std::chrono::steady_clock::now() < end);
  Fnv digest;
  for (const std::uint8_t byte : encoded) digest.add(byte);
  for (std::size_t at = 0; fd >= 0 && at < encoded.size();) {
    const ssize_t wrote = write(fd, encoded.data() + at, encoded.size() - at);
    if (wrote <= 0) throw Failed("the export can't be written");
    at += static_cast<std::size_t>(wrote);
  }
  return {digest.value(), encoded.size()};
}

void Engine::cancel() {
  gate_.require_alive();
  cancel_epoch_.fetch_add(1);
}

void Engine::cleanup() {
  if (!gate_.begin_release()) return;
  release_memory();
  gate_.end_release();
}

// Stops what runs; the memory stays until cleanup or the destructor.
void Engine::shutdown() {
  gate_.begin_shutdown();
  pool_->stop();
  if (process_ != nullptr) process_->stop();
  gate_.end_shutdown();
}

void Engine::release_at_exit() noexcept {
  exiting_ = true;
  if (options_.defects.exit_static_order && pool_->running()) device_->unmap();
  cleanup();
}

}  // namespace hotfire::reference
