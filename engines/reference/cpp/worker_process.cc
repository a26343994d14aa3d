// The worker process. It is forked from a process that may have threads, so that the child does
// nothing but async-signal-safe calls (fork(2)). The death of a parent shows as end-of-file on the
// socket: PR_SET_PDEATHSIG would fire as soon as the *thread* that forked ends.
#include "worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "errors.h"

namespace hotfire::reference {
namespace {

constexpr std::size_t kPieceBytes = 256;
constexpr int kSocket = 3;  // the child's only descriptor beside the three standard ones
constexpr time_t kOrphanSeconds = 60;
constexpr time_t kAnswerSeconds = 10;

time_t now_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

// Leaves the child with /dev/null three times and its socket; whatever else the parent held would
// otherwise live as long as the child does.
void keep_only(int socket) {
  dup2(socket, kSocket);
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  syscall(SYS_close_range, kSocket + 1, ~0U, 0);
}

[[noreturn]] void serve(int socket, bool outlives_parent) {
  prctl(PR_SET_NAME, "ref-process");
  keep_only(socket);
  const time_t end = now_seconds() + kOrphanSeconds;
  std::uint8_t piece[kPieceBytes];
  bool connected = true;
  while (!outlives_parent || now_seconds() < end) {
    pollfd readable{connected ? kSocket : -1, POLLIN, 0};
    if (poll(&readable, 1, outlives_parent ? 1000 : -1) < 0 && errno != EINTR) break;
    if ((readable.revents & (POLLIN | POLLHUP)) == 0) continue;
    const ssize_t got = recv(kSocket, piece, sizeof(piece), 0);
    if (got <= 0) {
      connected = false;
      if (outlives_parent) continue;
      break;
    }
    for (ssize_t at = 0; at < got; ++at) piece[at] = fold(piece[at]);
    if (send(kSocket, piece, static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) connected = false;
  }
  _exit(0);
}

}  // namespace

WorkerProcess::WorkerProcess(const Ledger& ledger, std::uint64_t parent, bool outlives_parent)
    : outlives_parent_(outlives_parent), ledger_(ledger) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw Failed("no socket for the worker process");
  pid_ = fork();
  if (pid_ == 0) serve(ends[1], outlives_parent);
  close(ends[1]);
  socket_ = ends[0];
  if (pid_ < 0) {
    close(socket_);
    throw Failed("the worker process can't be forked");
  }
  const timeval patience{kAnswerSeconds, 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ledger_id_ = next_ledger_id();
  ledger_.acquire(Resource::process, ledger_id_, parent, nullptr, 0);
}

std::vector<std::uint8_t> WorkerProcess::prepare(const std::uint8_t* prompt, std::size_t bytes) {
  std::vector<std::uint8_t> folded(bytes);
  std::size_t done = 0;
  std::lock_guard lock(mutex_);
  for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
    const std::size_t piece = std::min(kPieceBytes, bytes - at);
    if (send(socket_, prompt + at, piece, MSG_NOSIGNAL) < 0) break;
    ssize_t got = 0;
    do {
      got = recv(socket_, folded.data() + at, piece, 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(piece)) break;
    done = at + piece;
  }
  if (done != bytes) throw Failed("the worker process does not answer");
  return folded;
}

void WorkerProcess::stop() noexcept {
  std::lock_guard lock(mutex_);
  if (pid_ < 0) return;
  close(socket_);
  if (!outlives_parent_) {
    ledger_.release(Resource::process, ledger_id_);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
}

}  // namespace hotfire::reference
