// The engine: one lifecycle of create, load, generate, swap, export, unload, cleanup, shutdown and
// the destructor. Every step may come from any thread at any time; what is illegal is refused.
// Lock order: sessions before model. Both are held only to take or replace a reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "descriptor.h"
#include "device.h"
#include "exit_hook.h"
#include "exports.h"
#include "gate.h"
#include "ledger.h"
#include "model.h"
#include "options.h"
#include "periodic.h"
#include "pool.h"
#include "prefetcher.h"
#include "session.h"
#include "worker_process.h"

namespace hotfire::reference {

struct Bytes {
  const std::uint8_t* data;
  std::size_t count;
};

class Engine {
 public:
  Engine(const Options& options, std::unique_ptr<Ledger> ledger);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Never blocks.
  State state() const noexcept { return gate_.state(); }
  // The source number of the model that a generate would use now; 0: none.
  std::uint64_t active_source() const noexcept { return active_source_.load(); }

  // Takes over `fd`. `source` is the caller's number for the model's bytes.
  void load(int fd, std::uint64_t source);
  void unload();
  void swap(int fd, std::uint64_t source);
  Produced generate(std::uint64_t count, Bytes prompt);
  // Encodes the model anew into `fd` (below 0: nowhere), for at least `milliseconds`. An exporter
  // thread answers nothing, at once; the export's end is awaited by what takes the model away.
  Produced export_model(int fd, std::uint64_t milliseconds);
  void cancel();
  void cleanup();
  void shutdown();
  void release_at_exit() noexcept;

 private:
  struct Lease {
    std::shared_ptr<Model> model;
    Session* session;
  };

  // The model in use; without one the blank model. Never null while the engine is alive.
  std::shared_ptr<Model> current_model();
  Unchecked unchecked_by_generate() const noexcept;
  std::shared_ptr<Model> make_model(std::uint64_t source) const;
  std::unique_ptr<Prefetcher> prefetch(int fd) const;
  void load_model(int fd, std::uint64_t source);
  void publish(std::shared_ptr<Model> model, std::uint64_t source);
  Lease lease();
  void end_lease(Lease& lease);
  std::vector<std::uint8_t> prepare_prompt(Bytes prompt);
  Produced run(Lease& lease, std::uint64_t count, const std::vector<std::uint8_t>& prompt);
  Produced encode(const Model& model, int fd, std::uint64_t milliseconds);
  Produced export_in_thread(int fd, std::uint64_t milliseconds);
  void check_cancelled(std::uint64_t epoch) const;
  void release_memory();
  void release_memory_first();

  const Options options_;
  const std::unique_ptr<Ledger> ledger_;
  LedgerEntry entry_;
  Gate gate_;
  std::atomic<std::uint64_t> cancel_epoch_{0};
  std::atomic<bool> exiting_{false};
  std::atomic<std::uint64_t> active_source_{0};
  std::unique_ptr<WorkerProcess> process_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Pool> pool_;
  std::mutex session_mutex_;
  std::unique_ptr<SessionStore> sessions_;
  std::mutex model_mutex_;
  std::shared_ptr<Model> blank_;  // what there is before a load: nobody may compute with it
  std::shared_ptr<Model> model_;
  std::atomic<std::uint64_t> tokens_{0};
  std::unique_ptr<Monitor> monitor_;
  Exports exports_;
  ExitEntry exit_entry_;
};

}  // namespace hotfire::reference
