// Random lifecycles of the healthy engine in lanes, without Rust: for ThreadSanitizer, which takes
// the locks of Rust's uninstrumented standard library for no locks.
// `thread_stress TINY OTHER BROKEN SEED ROUNDS`; exits 1 at a wrong token or a ledger imbalance.
// With `swap-deadlock` at the end: generates and swaps one after another with that defect, so that
// the two lock orders are seen and nothing deadlocks.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "../cpp/engine.h"
#include "../cpp/errors.h"

using namespace hotfire::reference;

namespace {

constexpr std::uint64_t kTokens = 12;

struct Models {
  int tiny;
  int other;
  int broken;
  std::uint64_t right[2];
};

// Counts what is held.
struct Balance {
  std::atomic<long> held{0};
};

class CountingLedger : public Ledger {
 public:
  explicit CountingLedger(Balance& balance) : balance_(balance) {}
  void acquire(Resource, std::uint64_t, std::uint64_t, const void*, std::size_t) const override {
    ++balance_.held;
  }
  void release(Resource, std::uint64_t) const override { --balance_.held; }

 private:
  Balance& balance_;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(1);
}

void generate(Engine& engine, const Models& models) {
  const std::uint8_t prompt[] = {'h', 'o', 't'};
  const std::uint64_t digest = engine.generate(kTokens, {prompt, sizeof(prompt)}).digest;
  if (digest != models.right[0] && digest != models.right[1]) fail("a wrong token");
}

void step(Engine& engine, const Models& models, unsigned choice) {
  switch (choice) {
    case 0:
    case 1: return engine.load(dup(models.tiny), 1);
    case 2: return engine.load(dup(models.broken), 3);
    case 3: return engine.unload();
    case 4: return engine.swap(dup(models.other), 2);
    case 5: return engine.swap(dup(models.tiny), 1);
    case 6: return engine.cancel();
    case 7: return static_cast<void>(engine.export_model(-1, 0));
    case 8: return static_cast<void>(engine.state());
    case 9: return engine.cleanup();
    case 10: return engine.shutdown();
    default: return generate(engine, models);
  }
}

// Refusals, failed loads and cancelled generates are answers; all else is not.
void lane(Engine& engine, const Models& models, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int count = 0; count < 8; ++count) {
    const bool ending = random() % 16 == 0;
    unsigned choice = static_cast<unsigned>(random() % 16);
    if (!ending && (choice == 9 || choice == 10)) choice = 11;
    try {
      step(engine, models, choice);
    } catch (const Illegal&) {
    } catch (const Cancelled&) {
    } catch (const Failed&) {
      if (choice != 2) fail("a step failed");
    }
  }
}

void lifecycle(const Models& models, std::mt19937_64& random) {
  Balance balance;
  {
    Options options;
    options.aux_device = random() % 2 == 0;
    options.worker_process = random() % 4 == 0;
    options.prefetch = random() % 4 == 0;
    options.semaphore = random() % 4 == 0;
    options.monitor = random() % 2 == 0;
    if (random() % 2 == 0) options.exporter = Exporter::thread;
    Engine engine(options, std::make_unique<CountingLedger>(balance));
    std::vector<std::thread> lanes;
    for (int count = 0; count < 3; ++count)
      lanes.emplace_back([&engine, &models, seed = random()] { lane(engine, models, seed); });
    for (std::thread& one : lanes) one.join();
  }
  if (balance.held != 0) fail("the ledger is not balanced");
}

std::uint64_t digest_of(int fd) {
  Balance balance;
  Engine engine({}, std::make_unique<CountingLedger>(balance));
  engine.load(dup(fd), 1);
  const std::uint8_t prompt[] = {'h', 'o', 't'};
  return engine.generate(kTokens, {prompt, sizeof(prompt)}).digest;
}

// Leaves a living engine and a thread that generates to the exit handler.
void exit_beside_a_generate(const Models& models) {
  static Balance balance;
  auto* engine = new Engine({}, std::make_unique<CountingLedger>(balance));
  engine->load(dup(models.tiny), 1);
  generate(*engine, models);
  std::thread([engine] {
    try {
      engine->generate(1'000'000, {nullptr, 0});
    } catch (const std::exception&) {
    }
  }).detach();
}

void show_both_lock_orders(const Models& models) {
  Balance balance;
  Options options;
  options.defects.swap_deadlock = true;
  options.window_ns = 1000;
  Engine engine(options, std::make_unique<CountingLedger>(balance));
  engine.load(dup(models.tiny), 1);
  generate(engine, models);
  engine.swap(dup(models.other), 2);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6 && count != 7) fail("usage: thread_stress TINY OTHER BROKEN SEED ROUNDS");
  Models models{open(arguments[1], O_RDONLY), open(arguments[2], O_RDONLY),
                open(arguments[3], O_RDONLY), {}};
  models.right[0] = digest_of(models.tiny);
  models.right[1] = digest_of(models.other);
  if (count == 7) return show_both_lock_orders(models), 0;
  std::mt19937_64 random(std::strtoull(arguments[4], nullptr, 10));
  const unsigned long rounds = std::strtoul(arguments[5], nullptr, 10);
  for (unsigned long round = 0; round < rounds; ++round) lifecycle(models, random);
  std::printf("%lu lifecycles\n", rounds);
  exit_beside_a_generate(models);
}
