// The engines that live in this process, and the handler that releases them when it exits.
// The handler is registered at the first generate, never at program start.
#pragma once

namespace hotfire::reference {

class Engine;

// An engine's place in the list of living engines; a member of the engine.
struct ExitEntry {
  Engine* engine = nullptr;
  ExitEntry* previous = nullptr;
  ExitEntry* next = nullptr;
};

void enlist(ExitEntry& entry) noexcept;

// Waits for a running exit handler.
void delist(ExitEntry& entry) noexcept;

// Registers the handler with atexit, once per process.
void register_exit_handler() noexcept;

}  // namespace hotfire::reference
