// The programs of `scripts/bench.sh exec`. Each does a fixed amount of work; it measures nothing itself.
//
//   work compute UNITS          arithmetic in one thread
//   work threads STARTS UNITS   starts and joins a thread STARTS times, so many units of arithmetic between
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_PER_UNIT = 1000000 };

static uint64_t state = 1;

// xorshift64 (Marsaglia, "Xorshift RNGs", 2003): each step waits for the one before.
static void compute(long units) {
    for (long step = 0; step < units * STEPS_PER_UNIT; step++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
}

static void *body(void *nothing) { return nothing; }

int main(int count, char **words) {
    if (count == 3 && strcmp(words[1], "compute") == 0) {
        compute(atol(words[2]));
    } else if (count == 4 && strcmp(words[1], "threads") == 0) {
        for (long start = 0; start < atol(words[2]); start++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, body, NULL) != 0) return 96;
            pthread_join(thread, NULL);
            compute(atol(words[3]));
        }
    } else {
        return 2;
    }
    printf("%llu\n", (unsigned long long)state);
    return 0;
}
