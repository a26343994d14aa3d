// As fixture.c, for what only C++ has.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

volatile int sink;
int *volatile bad_address;

struct Step {
    virtual ~Step() = default;
    virtual void run(int depth) = 0;
};

struct Throwing final : Step {
    APART void run(int depth) override {
        if (depth == 0) throw std::runtime_error("thrown by the fixture");
        run(depth - 1);
        sink = sink + 1;
    }
};

struct Storing final : Step {
    APART void run(int depth) override {
        std::string room(static_cast<size_t>(depth) + 20, 'x');
        if (depth == 0) *bad_address = 1;
        run(depth - 1);
        sink = sink + static_cast<int>(room.size());
    }
};

APART void terminate_here() {
    sink = sink + 1;
    std::terminate();
}

APART void not_throwing(Step &step) noexcept {
    step.run(1);
    sink = sink + 1;
}

APART void crash(const std::string &mode) {
    Throwing throwing;
    Storing storing;
    std::map<int, Step *> steps{{1, &throwing}, {2, &storing}};
    if (mode == "throw") steps.at(1)->run(2);
    if (mode == "throw-noexcept") not_throwing(*steps.at(1));
    if (mode == "terminate") terminate_here();
    if (mode == "store") steps.at(2)->run(3);
    sink = sink + 1;
}

int main(int, char **arguments) {
    std::puts("ready");
    std::fflush(stdout);
    char byte;
    if (read(0, &byte, 1) != 1) return 2;
    crash(arguments[1]);
    return 3;
}
