// The lifecycle. Each defect is one `if` that chooses another order, bound, lock or lifetime.
// `death: NAME` marks a line in which a defect shows, for harness/cli/tests/command/defects.rs.
#include "engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "busy.h"
#include "errors.h"
#include "fnv.h"
#include "network.h"

// The compiler refers to it weakly, from tables of virtual functions. A strong reference brings it
// in where the runtime is linked statically; else a call of a pure virtual function is one to 0.
extern "C" void __cxa_pure_virtual();

namespace hotfire::reference {
namespace {

[[gnu::used]] void (*const kPureVirtual)() = __cxa_pure_virtual;

constexpr std::uint64_t kLoadWindowNs = 5'000'000;
constexpr std::uint64_t kSwapWindowNs = 3'000'000;
constexpr std::uint64_t kTeardownWindowNs = 200'000'000;
constexpr std::uint8_t kBeginToken = 0;
constexpr std::size_t kBlock = 1280;  // tokens that wait for the digest

// The prompt as the network reads it. By halves: a long one could be shared out.
void fold_range(std::vector<std::uint8_t>& prompt, std::size_t first, std::size_t last,
                bool misses_empty) {  // death: fold
  if (last - first == 1) {
    prompt[first] = fold(prompt[first]);
    return;
  }
  if (first == last && !misses_empty) return;
  const std::size_t middle = first + (last - first) / 2;
  fold_range(prompt, first, middle, misses_empty);  // death: fold
  fold_range(prompt, middle, last, misses_empty);
}

// The same model without a share in it.
std::shared_ptr<Model> borrowed(const std::shared_ptr<Model>& model) {
  return {std::shared_ptr<void>(), model.get()};
}

// What an export in a thread needs for as long as it works; the place at the gate goes last.
struct ExportInThread {
  explicit ExportInThread(Gate& gate) : use(gate) {}
  ~ExportInThread() {
    if (fd >= 0) close(fd);
  }
  ExportInThread(const ExportInThread&) = delete;
  ExportInThread& operator=(const ExportInThread&) = delete;

  const Use use;
  std::shared_ptr<Model> model;
  int fd = -1;
};

}  // namespace

Engine::Engine(const Options& options, std::unique_ptr<Ledger> ledger)
    : options_(options), ledger_(std::move(ledger)), entry_(*ledger_, Resource::engine, 0) {
  const bool orphan = options_.defects.orphan_worker;
  if (options_.worker_process || orphan)
    process_ = std::make_unique<WorkerProcess>(*ledger_, entry_.id(), orphan);
  device_ = std::make_unique<Device>(*ledger_, entry_.id(), options_);
  const Pool::Shape shape{"ref-worker", 2, true};
  pool_ = std::make_unique<Pool>(*ledger_, entry_.id(), shape, options_);
  sessions_ = std::make_unique<SessionStore>(*ledger_, *device_);
  blank_ = std::make_shared<Model>(*ledger_, entry_.id(), 0, options_.defects);
  blank_->make_blank();
  if (options_.monitor) {
    const bool left_to_base = options_.defects.pure_virtual;
    monitor_ = std::make_unique<Monitor>(*ledger_, entry_.id(), tokens_, left_to_base);
  }
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

// What points into memory goes before the memory: workers, sessions, tensors, then the arenas.
void Engine::release_memory() {
  monitor_.reset();
  if (!options_.defects.worker_outlives_engine) pool_->stop();
  if (options_.defects.device_teardown) device_.reset();
  sessions_.reset();
  model_.reset();
  blank_.reset();
  active_source_ = 0;
  device_.reset();
  process_.reset();
  if (options_.defects.worker_outlives_engine) {
    pool_->stop();
    busy_for(options_.window(kTeardownWindowNs));
  }
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
  const auto file = std::make_shared<const MappedFile>(fd);
  auto model = make_model(source);
  if (options_.defects.half_built_init) publish(model, source);
  model->read(file);
  if (options_.defects.generate_during_load) {
    publish(model, source);
    busy_for(options_.window(kLoadWindowNs));
  }
  model->link();
  publish(std::move(model), source);
}

void Engine::unload() {
  gate_.begin_unload(options_.defects.unload_during_generate);
  publish(nullptr, 0);
  gate_.end_unload();
}

void Engine::swap(int fd, std::uint64_t source) {
  const Descriptor own(fd, options_.defects.leak_fd);
  const Use use(gate_);
  const auto ahead = prefetch(own.get());
  const auto file = std::make_shared<const MappedFile>(own.get());
  auto model = make_model(source);
  model->read(file);
  model->link();
  if (!options_.defects.swap_deadlock) return publish(std::move(model), source);
  std::lock_guard models(model_mutex_);
  busy_for(options_.window(kSwapWindowNs));
  std::lock_guard sessions(session_mutex_);
  model_.swap(model);
  active_source_ = source;
}

std::shared_ptr<Model> Engine::current_model() {
  std::lock_guard models(model_mutex_);
  return model_ != nullptr ? model_ : blank_;
}

Engine::Lease Engine::lease() {
  std::lock_guard sessions(session_mutex_);
  if (options_.defects.swap_deadlock) busy_for(options_.window(kSwapWindowNs));
  Lease lease{current_model(), nullptr};
  if (lease.model == blank_ && !options_.defects.accepts_illegal)
    throw Illegal("no model is loaded");
  lease.model->read_rest();
  if (options_.defects.unload_during_generate) lease.model = borrowed(lease.model);
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
  fold_range(folded, 0, folded.size(), options_.defects.stack_overflow);
  return folded;
}

Unchecked Engine::unchecked_by_generate() const noexcept {
  if (options_.defects.generate_during_load) return Unchecked::end_of_load;
  return options_.defects.accepts_illegal ? Unchecked::model : Unchecked::nothing;
}

Produced Engine::generate(std::uint64_t count, Bytes prompt) {
  if (options_.defects.generate_during_load) busy_for(options_.window(kLoadWindowNs) / 4);
  const Use use(gate_, unchecked_by_generate());
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

Produced Engine::run(Lease& lease, std::uint64_t count, const std::vector<std::uint8_t>& prompt) {
  const std::uint64_t epoch = cancel_epoch_.load();
  const std::shared_ptr<Model> first = lease.model;
  const Passage passage(first->turnstile());
  const Machinery machinery{*device_, *pool_};
  Fnv digest;
  std::uint8_t token = next_token(*lease.model, *lease.session, kBeginToken, machinery);
  for (const std::uint8_t byte : prompt)
    token = next_token(*lease.model, *lease.session, byte, machinery);
  std::vector<std::uint8_t> block(kBlock);
  const std::uint64_t full = options_.defects.heap_overflow ? count : kBlock;
  std::size_t filled = 0;
  for (std::uint64_t made = 0; made < count; ++made) {
    if (options_.defects.uncaught_exception) {
      device_->run([this, epoch] { check_cancelled(epoch); });
    } else {
      check_cancelled(epoch);
    }
    if (options_.defects.torn_swap) lease.model = current_model();
    if (filled == full) {
      for (std::size_t at = 0; at < filled; ++at) digest.add(block[at]);
      filled = 0;
    }
    block[filled++] = token;
    tokens_.fetch_add(1, std::memory_order_relaxed);
    token = next_token(*lease.model, *lease.session, token, machinery);
  }
  for (std::size_t at = 0; at < filled; ++at) digest.add(block[at]);
  return {digest.value(), count};
}  // death: free

void Engine::check_cancelled(std::uint64_t epoch) const {
  if (cancel_epoch_.load() != epoch || exiting_.load()) throw Cancelled();  // death: cancel
}

Produced Engine::export_model(int fd, std::uint64_t milliseconds) {
  if (options_.exporter == Exporter::thread) return export_in_thread(fd, milliseconds);
  const Use use(gate_);
  const std::shared_ptr<Model> model = current_model();
  model->read_rest();
  const auto work = [&] { return encode(*model, fd, milliseconds); };
  if (options_.exporter == Exporter::caller) return work();
  // The workers are not in the child: it must do its work alone.
  const bool shared_out = options_.defects.fork_after_compute && pool_->running();
  if (!shared_out) return produce_in_child(work);
  return produce_in_child([&] {
    Produced produced{};
    pool_->run_apart([&] { produced = work(); });
    return produced;
  });
}

Produced Engine::export_in_thread(int fd, std::uint64_t milliseconds) {
  const auto held = std::make_shared<ExportInThread>(gate_);
  held->model = current_model();
  held->model->read_rest();
  if (fd >= 0) held->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  exports_.start([this, held, milliseconds] { encode(*held->model, held->fd, milliseconds); },
                 options_.defects.loop_freeze);
  return {};
}

Produced Engine::encode(const Model& model, int fd, std::uint64_t milliseconds) {
  const std::uint64_t epoch = cancel_epoch_.load();
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  std::vector<std::uint8_t> encoded;
  do {
    check_cancelled(epoch);
    encoded = model.encode();
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
  if (!gate_.begin_release(options_.defects.double_cleanup)) return;
  const std::shared_ptr<Model> model = options_.defects.double_cleanup ? model_ : nullptr;
  if (model != nullptr) model->release();
  release_memory();
  model_ = model;
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
