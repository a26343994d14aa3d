// Translates between the engine and the types that cxx knows. No logic.
#include "bridge.h"

#include <string>

#include "errors.h"
#include "hotfire-reference/src/bridge.rs.h"

namespace hotfire::reference {
namespace {

// Hands events to the host's ledger.
class HostLedger : public Ledger {
 public:
  explicit HostLedger(rust::Box<LedgerPort> port) : port_(std::move(port)) {}

  void acquire(Resource resource, std::uint64_t id, std::uint64_t parent, const void* address,
               std::size_t bytes) const override {
    port_->acquire({static_cast<std::uint8_t>(resource), id, parent,
                    reinterpret_cast<std::uintptr_t>(address), bytes});
  }

  void release(Resource resource, std::uint64_t id) const override {
    port_->release(static_cast<std::uint8_t>(resource), id);
  }

 private:
  rust::Box<LedgerPort> port_;
};

Made made(const Produced& produced) { return {produced.digest, produced.count}; }

}  // namespace

std::unique_ptr<Handle> open_engine(const Settings& settings, rust::Box<LedgerPort> port) {
  Options options;
  for (const rust::String& defect : settings.defects) {
    if (!options.defects.switch_on({defect.data(), defect.size()}))
      throw Failed("no defect " + std::string(defect));
  }
  options.window_ns = settings.window_ns;
  options.aux_device = settings.aux_device;
  options.worker_process = settings.worker_process;
  options.prefetch = settings.prefetch;
  options.semaphore = settings.semaphore;
  options.monitor = settings.monitor;
  options.exporter = static_cast<Exporter>(settings.exporter);
  auto ledger = std::make_unique<HostLedger>(std::move(port));
  return std::make_unique<Handle>(std::make_unique<Engine>(options, std::move(ledger)));
}

std::uint8_t Handle::state() const noexcept { return static_cast<std::uint8_t>(engine_->state()); }
std::uint64_t Handle::active_source() const noexcept { return engine_->active_source(); }
void Handle::load(std::int32_t fd, std::uint64_t source) const { engine_->load(fd, source); }
void Handle::unload() const { engine_->unload(); }
void Handle::swap(std::int32_t fd, std::uint64_t source) const { engine_->swap(fd, source); }

Made Handle::generate(std::uint64_t count, rust::Slice<const std::uint8_t> prompt) const {
  return made(engine_->generate(count, {prompt.data(), prompt.size()}));
}

Made Handle::export_model(std::int32_t fd, std::uint64_t milliseconds) const {
  return made(engine_->export_model(fd, milliseconds));
}

void Handle::cancel() const { engine_->cancel(); }
void Handle::cleanup() const { engine_->cleanup(); }
void Handle::shutdown() const { engine_->shutdown(); }

}  // namespace hotfire::reference
